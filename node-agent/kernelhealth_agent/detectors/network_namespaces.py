"""Network namespaces that stay in the kernel after their pods are gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pydantic import Field

from kernelhealth_agent.kernel import leak_wording
from kernelhealth_agent.kernel.leaks import Hidden, Kept, NetworkNamespaces, Unreachable
from kernelhealth_api.detector import (
    Detector,
    Observation,
    Params,
    Reason,
    Severity,
    Signal,
    Subject,
)
from kernelhealth_api.duration import Duration

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


def judge(now: NetworkNamespaces, _params: NetworkNamespacesParams) -> Iterator[Observation]:
    """Take every namespace that nothing reaches, or that only leftovers of a gone pod reach."""
    for lost in now.unreachable:
        yield _lost(lost)
    for kept in now.kept:
        yield _kept(kept)
    for hidden in now.hidden:
        yield _hidden(hidden)


def _lost(lost: Unreachable) -> Observation:
    pod = lost.past.pod if lost.past else lost.pod
    interfaces = tuple(link.name for link in lost.inside)
    key = f"inode {lost.past.inode}" if lost.past else f"nsid {lost.nsid} {_identity(lost)}".strip()
    inode = next((s.inode for s in (lost.past, lost.socket, lost.listed) if s is not None), None)
    cause, holder, advice, cures = _explained(lost)
    holds = [*interfaces, *lost.addresses, *(f"{name} on the host" for name in lost.outside)]
    message = (
        f"{leak_wording.title(inode, lost.nsid)}{leak_wording.of(pod)} is still in the kernel, but "
        f"no process, mount or descriptor leads to it{' any more' if lost.past else ''}; {advice}"
        f"{' It keeps ' + ', '.join(holds[:6]) + '.' if holds else ''}"
    )
    subject = Subject(
        namespace=inode,
        nsid=lost.nsid,
        interfaces=(*interfaces, *lost.outside)[:8],
        addresses=lost.addresses[:8],
        holder=holder,
        container=lost.past.sandbox if lost.past else None,
        **leak_wording.whose(pod, "memory" if lost.past else None),
    )
    # A living process may well keep a namespace of its own by a socket: no harm without a pod.
    severity = Severity.INFO if lost.socket is not None and pod is None else None
    return Observation(LEAKED, key, subject, message, cause, cures, severity)


def _explained(lost: Unreachable) -> tuple[str, str, str, tuple[str, ...]]:
    """Return cause, holder, advice and cures."""
    if lost.socket is not None:
        holder = f"socket {lost.socket.descriptor} of {lost.socket.process}"
        return "HeldBySocket", holder, f"{holder} keeps it: stop that process.", _CURES["socket"]
    if lost.pinned_by_gssproxy:
        advice = "the kernel's gssproxy client keeps it: unload auth_rpcgss, or reboot the node."
        cures = ("BlockRpcGssModule", "UnloadRpcGssModule", "Reboot")
        return "GssProxyPin", "kernel (gssproxy client)", advice, cures
    advice = leak_wording.unknown_holder(lost.listed)
    return "HeldByKernel", leak_wording.KERNEL, advice, ("Reboot",)


def _kept(kept: Kept) -> Observation:
    space = kept.namespace
    message = (
        f"{leak_wording.title(space.inode, space.nsid)}{leak_wording.of(kept.pod)} outlived its "
        f"pod: {kept.holder} keeps it; "
        f"{'unmount it' if kept.how == 'mount' else 'stop that process'}."
    )
    subject = Subject(
        namespace=space.inode,
        nsid=space.nsid,
        holder=kept.holder,
        container=space.sandbox,
        **leak_wording.whose(kept.pod, None),
    )
    cause = f"HeldBy{kept.how.capitalize()}"
    return Observation(LEAKED, f"inode {space.inode}", subject, message, cause, _CURES[kept.how])


def _hidden(found: Hidden) -> Observation:
    message, subject = leak_wording.hidden(found)
    space = found.listed
    # Inode numbers are given again at once, cookies never: a namespace of a moment has its own key.
    key = f"inode {space.inode}{'' if space.cookie is None else f' cookie {space.cookie}'}"
    cause = "HeldByKernel" if found.socket is None else "HeldBySocket"
    cures = ("Reboot",) if found.socket is None else _CURES["socket"]
    severity = None
    if found.past is None:
        # A service manager may keep one in flight for a service that has exited: no harm.
        severity, cures = Severity.INFO, ()
    return Observation(LEAKED, key, subject, message, cause, cures, severity)


def _identity(lost: Unreachable) -> str:
    """Return what tells a namespace from another that is given the same id later."""
    return ",".join(sorted(link.mac for link in lost.inside))


def _views(now: NetworkNamespaces) -> dict[tuple[str, ...], float]:
    """Return how many namespaces each view of the kernel shows, without the host's own."""
    views: dict[tuple[str, ...], float] = {
        ("reachable",): now.reachable,
        ("nsid",): now.identified,
    }
    if now.objects is not None:
        views["slab",] = now.objects
    if now.listed is not None:
        views["kernel",] = len(now.listed) - 1
    return views


def _capacities(now: NetworkNamespaces) -> dict[str, float]:
    """Return how many leaked namespaces fit into memory: those that are there, and the rest."""
    if now.room is None:
        return {}
    leaked = [*now.unreachable, *now.kept, *(hidden for hidden in now.hidden if hidden.past)]
    return {LEAKED.name: len(leaked) + now.room}


DETECTOR = Detector(
    name="network_namespaces",
    condition="NetworkNamespacesHealthy",
    summary="Network namespaces that outlived their pods",
    sample=NetworkNamespaces,
    params=NetworkNamespacesParams,
    reasons=(LEAKED,),
    judge=judge,
    capacities=_capacities,
    signals=(
        Signal(
            "network_namespaces",
            "Network namespaces besides the host's, by the view that shows them.",
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
