"""The kubectl plugin: what happens to nodes and why, and a person's word about it."""
