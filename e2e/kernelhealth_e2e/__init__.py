"""The end-to-end harness: a real control plane, a real node, and the images under test."""
