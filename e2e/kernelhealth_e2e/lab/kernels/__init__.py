"""How the lab gets kernels, and modules for them: packages, or what is built and cached.

``catalogue`` has them by name. ``config/`` and ``patches/`` are what built kernels differ in,
``modules/`` the faults that no released kernel has.
"""
