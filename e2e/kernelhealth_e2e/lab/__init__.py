"""The kernel lab: each failure this software is for, made live on real kernels, as Nodes.

The modules here are the frame, and what several scenarios use. ``kernels`` gets kernels and modules
for them. ``scenarios`` has a module or a package for each failure, with all that is its own; what
lies below ``workloads`` in one runs in a pod, as source, with Python's own library alone.
See docs/adr/0016-the-kernel-lab.md.
"""
