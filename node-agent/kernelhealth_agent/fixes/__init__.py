"""The cures that the agent itself can do: one module each, found by the registry."""
