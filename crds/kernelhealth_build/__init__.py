"""Everything that is written from the code instead of by hand.

Only needed to build the project: it is the one place that sees the agent and the operator at once,
and no part of the wheel.
"""
