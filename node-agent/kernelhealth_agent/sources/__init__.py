"""What is read for which sample: one module per source, found by its SOURCE."""
