"""Kernels that lose memory with each network namespace, and kernels that complain of themselves.

The first of the incidents. What fails is a module of the lab (kernels/modules/leak.c), on a stock
kernel.
"""

from __future__ import annotations

from kernelhealth_e2e.lab.scenarios.leaks.scenario import SCENARIO

__all__ = ["SCENARIO"]
