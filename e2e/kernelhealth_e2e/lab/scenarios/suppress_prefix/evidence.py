"""What must be seen of lost route objects, and what must not: in counters and in findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernelhealth_e2e.demo.stage import finding
from kernelhealth_e2e.lab.requirement import require
from kernelhealth_e2e.lab.scenarios.suppress_prefix.workloads import gateway
from kernelhealth_e2e.scene import findings

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.scenarios.suppress_prefix.pod import Count
    from kernelhealth_e2e.observing import Object

TRAP, LEAKING, SLAB = "SuppressPrefixTrap", "IPv6RouteObjectsLeaking", "SlabLeak"
STUCK = "InterfaceUnregisterStuck"
CAUSE, FIX = "SuppressPrefixLeak", "RemoveSuppressPrefixRule"
RULE = f"{gateway.PRIORITY}: from all lookup main suppress_prefixlength 0"
FILTER = f"ip6 {gateway.TABLE} {gateway.CHAIN} handle"
FEW = 300
"""Objects that come and go on a node without anybody's fault."""


def leaks(grown: Count) -> bool:
    """Tell whether an object was lost with nearly each packet, and counted in the cache."""
    return min(grown.objects, grown.cached) >= 0.9 * grown.sent - FEW


def is_silent(grown: Count) -> bool:
    """Tell whether packets left no objects behind."""
    return max(grown.objects, grown.cached) < FEW


def slab(health: Object) -> Object | None:
    """Return the finding about the slab cache that route objects come from, if there is one.

    It may be called otherwise, by the name of a cache that it is merged with.
    """
    for one in findings(health):
        if one["reason"] == SLAB and "ip6_dst_cache" in one["subject"].get("holder", ""):
            return one
    return None


def is_forecast(health: Object, pod: str) -> bool:
    """Tell whether the growth in a pod and in the slab cache is known, with its end and cause."""
    routes, cache = finding(health, LEAKING), slab(health)
    if routes is None or cache is None or routes["subject"].get("pod") != pod:
        return False
    return all(
        one.get("perHour") and one.get("exhaustion") and one.get("cause") == CAUSE
        for one in (routes, cache)
    )


def said(grown: Count) -> str:
    """Say what became of packets."""
    return (
        f"{grown.sent} packets: {grown.objects} route objects more in the pod's namespace,"
        f" {grown.cached} in their slab cache"
    )


def detected(health: Object) -> str:
    """Return what is said of the leak; HarnessError where it is less grave than it is."""
    routes, cache = finding(health, LEAKING) or {}, slab(health) or {}
    for one in (routes, cache):
        require(
            one["severity"] == "Critical", f"the growth of {one['reason']} is {one['severity']}"
        )
    return f"{LEAKING}: {routes['message']} {SLAB}: {cache['message']}"


def named(health: Object, pod: str, severity: str) -> str:
    """Return what the trap's finding says; HarnessError where it does not say all."""
    trap = finding(health, TRAP) or {}
    subject, message = trap.get("subject", {}), trap.get("message", "")
    require(subject.get("pod") == pod, f"{TRAP} names {subject.get('pod')} and not {pod}")
    require(trap["severity"] == severity, f"{TRAP} is {trap['severity']} and not {severity}")
    require(trap.get("cause") == CAUSE, f"the cause of {TRAP} is said to be {trap.get('cause')}")
    for part in (RULE, FILTER):
        require(part in message, f"{TRAP} does not name {part!r}: {message}")
    return f"{trap['severity']} {TRAP} of {pod}: {message}"


def is_stopped(health: Object) -> bool:
    """Tell whether the trap is gone and what it cost is still there."""
    return finding(health, TRAP) is None and finding(health, LEAKING) is not None
