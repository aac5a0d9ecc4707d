"""The kernel lab: each failure this software is for, made live on real kernels, as Nodes.

See docs/adr/0016-the-kernel-lab.md.
"""
