"""suppress_prefix: of each packet that a firewall looks up the route, a route object is lost.

The second of the incidents, ``fib6_rule_suppress`` without cdef485217d3: on a kernel with that fix
taken out, and on the same kernel with it. The rule, the filter and the traffic are a pod's.
"""

from __future__ import annotations

from kernelhealth_e2e.lab.scenarios.suppress_prefix.scenario import SCENARIO

__all__ = ["SCENARIO"]
