"""gssproxy in a container: the kernel keeps the container's network namespace for ever."""

from __future__ import annotations

from kernelhealth_e2e.lab.scenarios.gssproxy.scenario import SCENARIO

__all__ = ["SCENARIO"]
