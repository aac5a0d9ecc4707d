"""The node agent: looks at one node's kernel and says what is wrong with it."""
