"""A host to treat in tests, and a program that is killed while it treats it."""
