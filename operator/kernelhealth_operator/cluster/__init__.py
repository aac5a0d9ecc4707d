"""The operator's only way to the API server: session, narrow watch, leadership."""
