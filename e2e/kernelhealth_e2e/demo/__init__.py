"""The demo: a real cluster, a real leak, and what a platform team sees of it."""
