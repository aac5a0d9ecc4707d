"""Virtual machines that join the test cluster as Nodes, with a kernel and a boot of their own.

What must never happen to the machine that runs the tests (a module unloaded, a reboot) happens to
these. They are emulated in software, so that they run wherever the tests do.
"""
