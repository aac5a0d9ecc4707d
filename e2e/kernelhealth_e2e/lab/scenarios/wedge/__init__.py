"""The worker that destroys network namespaces gets stuck: nothing is freed, then nothing starts.

What holds it is a module of the lab (kernels/modules/wedge.c), on stock kernels.
"""

from __future__ import annotations

from kernelhealth_e2e.lab.scenarios.wedge.scenario import SCENARIO

__all__ = ["SCENARIO"]
