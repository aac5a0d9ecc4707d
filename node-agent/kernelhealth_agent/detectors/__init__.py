"""What is wrong: one pure module per detector, found by its DETECTOR."""
