"""Pods that have ended for the kernel and not yet for the kubelet: when to look at them again.

Every pod that ends looks so for a moment. Should something keep its network namespace, that shows
only when the kubelet has removed the pod's directory, which no event tells. The kubelet does that
every 2 s (pkg/kubelet/kubelet.go: housekeepingPeriod), and on a busy node takes its time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from kernelhealth_agent.kernel.namespaces import Inventory

_SOON = 3.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Lingering:
    """The pods that linger, by UID, and the uptime at which the newest of them was first seen to.

    A pod whose object stays, as that of a finished job does, lingers for as long: the looks at the
    same pods become rare.
    """

    pods: frozenset[str] = frozenset()
    since: float = 0.0

    def seen(self, pods: Collection[str], now: float) -> Lingering:
        """Return what lingers after a look at the uptime *now*."""
        return Lingering(frozenset(pods), self.since if self.pods.issuperset(pods) else now)

    def due(self, now: float) -> float | None:
        """Return the uptime of the next look: as long from *now* as they linger, 3 s or more."""
        return now + max(_SOON, now - self.since) if self.pods else None


def pods(inventory: Inventory | None) -> frozenset[str]:
    """Return the pods whose namespace lost their processes while the kubelet still knows them.

    Somebody else's process may be in there still: then only memory tells whose it was.
    """
    if inventory is None:
        return frozenset()
    owned = ((space.pod, space.pids) for space in inventory.namespaces.values() if space.pod)
    ended = (pod.uid for pod, pids in owned if not pids or pod.known_by == "memory")
    return frozenset(uid for uid in ended if uid is not None and uid in inventory.pods)
