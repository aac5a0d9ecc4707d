"""What can be done about a node: one module per remediation, each a pure plan and its reverse."""
