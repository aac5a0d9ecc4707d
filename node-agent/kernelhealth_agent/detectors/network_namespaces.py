"""Network namespaces that stay in the kernel after their pods are gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pydantic import Field

from kernelhealth_agent.kernel import leak_holders, leak_wording
from kernelhealth_agent.kernel.leaks import Hidden, Kept, NetworkNamespaces, Unreachable
from kernelhealth_agent.kernel.namespace_views import Views
from kernelhealth_api.detector import (
    Detector,
    Measure,
    Observation,
    Params,
    Reason,
    Severity,
    Signal,
    Subject,
)
from kernelhealth_api.duration import Duration

UNACCOUNTED = Reason(
    "NetworkNamespacesUnaccounted",
    Severity.INFO,
    "One view of the kernel has more network namespaces than all others together: some may have "
    "leaked that nothing names.",
    confirm="unaccounted_after",
)
LEAKED = Reason(
    "NetworkNamespaceLeaked",
    Severity.WARNING,
    "A network namespace outlived its pod: its memory, interfaces and addresses are lost to the "
    "node until what holds it lets go.",
    confirm="confirm_after",
    critical="critical_count",
    forecast="critical_before",
)

_CURES = {
    "process": ("StopHolder",),
    "socket": ("StopHolder",),
    "descriptor": ("StopHolder",),
    "mount": ("UnmountNamespace", "StopHolder"),
}


class NetworkNamespacesParams(Params):
    """When a namespace out of reach is a leak, and when leaks are critical."""

    confirm_after: Duration = Field(
        timedelta(minutes=2),
        description="How long a namespace must be out of reach. The kernel frees namespaces late, "
        "and runtimes keep them for a moment.",
    )
    critical_count: int = Field(
        10, ge=1, description="Leaked namespaces from which on the finding is Critical."
    )
    critical_before: Duration = Field(
        timedelta(hours=72),
        description="The finding is Critical when the node's memory will be full of leaked "
        "namespaces within this time, should they go on as during the last day.",
    )
    unaccounted_count: int = Field(
        16,
        ge=1,
        description="From how many network namespaces on that only the slab allocator counts they "
        "are reported; it also counts the last ones that were destroyed.",
    )
    unaccounted_after: Duration = Field(
        timedelta(hours=1),
        description="How long views of the kernel must disagree before that is reported.",
    )


def judge(now: NetworkNamespaces, params: NetworkNamespacesParams) -> Iterator[Observation]:
    """Take every namespace that nothing reaches, or that only leftovers of a gone pod reach."""
    for lost in now.unreachable:
        yield _lost(lost, now)
    for kept in now.kept:
        yield _kept(kept, now.leaked)
    for hidden in now.hidden:
        yield _hidden(hidden, now.leaked)
    yield from _unaccounted(now, params)


def _unaccounted(now: NetworkNamespaces, params: NetworkNamespacesParams) -> Iterator[Observation]:
    """Say where views of the kernel have disagreed for a while."""
    if now.views is None:
        return
    excess, unseen = now.views.excess, now.views.unseen
    if excess >= params.unaccounted_count:
        measure = Measure(float(excess), float(params.unaccounted_count))
        message = leak_wording.unaccounted(excess)
        subject = Subject(holder=leak_wording.KERNEL)
        yield Observation(UNACCOUNTED, "slab", subject, message, measure=measure)
    if unseen:
        yield Observation(UNACCOUNTED, "listns", Subject(), leak_wording.unseen(unseen))


def _lost(lost: Unreachable, now: NetworkNamespaces) -> Observation:
    past = lost.past
    key = f"inode {past.inode}" if past else f"nsid {lost.nsid} {_identity(lost)}".strip()
    why = leak_holders.explained(lost, now)
    message, subject = leak_wording.lost(lost, why, now.leaked)
    # A living process may well keep a namespace of its own by a socket: no harm without a pod.
    harmless = lost.socket is not None and past is None and lost.pod is None
    severity = Severity.INFO if harmless else None
    began = past.seen if past else None
    return Observation(LEAKED, key, subject, message, why.cause, why.cures, severity, began)


def _kept(kept: Kept, leaked: int) -> Observation:
    space = kept.namespace
    message, subject = leak_wording.kept(kept, leaked)
    cause = f"HeldBy{kept.how.capitalize()}"
    aim = {} if space.cookie is None else {"cookie": space.cookie}
    key = f"inode {space.inode}"
    return Observation(LEAKED, key, subject, message, cause, _CURES[kept.how], aim=aim)


def _hidden(found: Hidden, leaked: int) -> Observation:
    message, subject = leak_wording.hidden(found, leaked)
    space = found.listed
    # Inode numbers are given again at once, cookies never: a namespace of a moment has its own key.
    key = f"inode {space.inode}{'' if space.cookie is None else f' cookie {space.cookie}'}"
    cause = "HeldByKernel" if found.socket is None else "HeldBySocket"
    cures = ("Reboot",) if found.socket is None else _CURES["socket"]
    severity = None
    if found.past is None:
        # A service manager may keep one in flight for a service that has exited: no harm.
        severity, cures = Severity.INFO, ()
    began = found.past.seen if found.past else None
    return Observation(LEAKED, key, subject, message, cause, cures, severity, began)


def _identity(lost: Unreachable) -> str:
    """Return what tells a namespace from another that is given the same id later."""
    return ",".join(sorted(link.mac for link in lost.inside))


def _views(now: NetworkNamespaces) -> dict[tuple[str, ...], float]:
    """Return how many namespaces each view of the kernel shows, without the host's own."""
    views: dict[tuple[str, ...], float] = {
        ("reachable",): now.reachable,
        ("nsid",): now.identified,
    }
    told = now.views or Views()
    objects = told.objects if now.objects is None else now.objects
    members = told.members if now.members is None else now.members
    if objects is not None:
        views["slab",] = objects
    if now.active is not None:
        views["listns",] = now.active - 1
    if members is not None:
        views["kernel",] = members - 1
    return views


def _capacities(now: NetworkNamespaces) -> dict[str, float]:
    """Return how many leaked namespaces fit into memory: those that are there, and the rest."""
    if now.room is None:
        return {}
    return {LEAKED.name: now.leaked + now.room}


DETECTOR = Detector(
    name="network_namespaces",
    condition="NetworkNamespacesHealthy",
    summary="Network namespaces that outlived their pods",
    sample=NetworkNamespaces,
    params=NetworkNamespacesParams,
    reasons=(LEAKED, UNACCOUNTED),
    judge=judge,
    capacities=_capacities,
    signals=(
        Signal(
            "network_namespaces",
            "Network namespaces besides the host's, by the view that shows them; slab and kernel"
            " are asked every ten minutes.",
            _views,
            ("view",),
        ),
        Signal(
            "network_namespaces_unreachable",
            "Network namespaces that no process, mount or descriptor leads to.",
            lambda now: {(): len(now.unreachable)},
        ),
        Signal(
            "network_namespaces_kept",
            "Network namespaces that something keeps although their pod is gone.",
            lambda now: {(): len(now.kept)},
        ),
    ),
)
