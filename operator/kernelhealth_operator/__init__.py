"""The operator: one per cluster, turns the agents' reports and the policies into treatment."""
