"""What to do about a node: pure functions from a situation to a decision."""
