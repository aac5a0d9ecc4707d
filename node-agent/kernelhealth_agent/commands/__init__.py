"""What the command line can do: a module for each command, loaded only when it is called for."""
