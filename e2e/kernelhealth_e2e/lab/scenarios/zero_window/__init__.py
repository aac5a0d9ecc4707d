"""Stuck zero window: a kernel takes a connection's last window for newer than all that follow.

The first of the incidents, on a kernel without 18a4c0eab262 and on the same kernel with it. Client
and server are pods of the node. Each time there is a look-alike beside them: a server that is slow.
"""

from __future__ import annotations

from kernelhealth_e2e.lab.scenarios.zero_window.scenario import SCENARIO

__all__ = ["SCENARIO"]
