"""The canary: a child of the agent that makes a network namespace and awaits its end.

The agent starts it as a program of its own (``hosts.canary``), since nobody can call back a system
call that hangs in the kernel; only the child hangs then. It is the agent's own interpreter and
imports no more than it needs. ``kernel.canary`` says what it writes.
"""
