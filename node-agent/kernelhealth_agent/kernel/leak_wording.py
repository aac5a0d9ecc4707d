"""What outlived its pod, in words: namespaces."""

from __future__ import annotations

from datetime import UTC, datetime

from kernelhealth_agent.kernel.leaks import Explanation, Hidden, Kept, Unreachable
from kernelhealth_agent.kernel.namespace_answers import Listed
from kernelhealth_agent.kernel.namespaces import Pod
from kernelhealth_api.v1alpha1.finding import Subject

KERNEL = "kernel, or a socket in flight"
BYTES_EACH = 203 << 10
"""Memory of an empty namespace: 196 KiB of slab and 7 KiB of per-CPU memory, the mean of 200 on
Linux 6.18 with four CPUs. Those of real pods are larger."""
_KNOWN_BY = {
    "memory": "from memory",
    "address": "by its address",
    "cniCache": "by the CNI result",
    "interfaceName": "by the interface's name",
}


def lost(found: Unreachable, why: Explanation, leaked: int) -> tuple[str, Subject]:
    """Return message and subject of a namespace that nothing leads to; *leaked* are so in all."""
    past = found.past
    pod, how = (past.pod, "memory") if past else (found.pod, None)
    interfaces = tuple(link.name for link in found.inside)
    holds = [*interfaces, *found.addresses, *(f"{name} on the host" for name in found.outside)]
    keeps = f"it keeps {', '.join(holds[:6])} and" if holds else "it"
    # What to do comes first: a report may have no room for the rest.
    message = (
        f"{title(found.inode, found.nsid)}{of(pod)} is still in the kernel"
        f"{since(past.seen) if past else ''}: {why.advice}; no process, mount or descriptor leads "
        f"to it{known_by(pod, how)}, {keeps} costs {cost(leaked)}."
    )
    subject = Subject(
        namespace=found.inode,
        nsid=found.nsid,
        interfaces=(*interfaces, *found.outside)[:8],
        addresses=found.addresses[:8],
        holder=why.holder,
        container=past.sandbox if past else None,
        **whose(pod, how),
    )
    return message, subject


def kept(found: Kept, leaked: int) -> tuple[str, Subject]:
    """Return message and subject of a namespace that something reaches after its pod is gone."""
    space, pod = found.namespace, found.pod
    message = (
        f"{title(space.inode, space.nsid)}{of(pod)} outlived its pod: {found.holder} keeps it; "
        f"{'unmount it' if found.how == 'mount' else 'stop that process'}, which frees it without "
        f"a reboot; it costs {cost(leaked)}."
    )
    subject = Subject(
        namespace=space.inode,
        nsid=space.nsid,
        holder=found.holder,
        container=space.sandbox,
        **whose(pod, None),
    )
    return message, subject


def hidden(found: Hidden, leaked: int) -> tuple[str, Subject]:
    """Return message and subject of a namespace that only the kernel's own list shows."""
    space, pod = found.listed, found.past.pod if found.past else None
    told = f"{title(space.inode, None)}{of(pod)} is still in the kernel's own list, but no process"
    told = f"{told}, mount, descriptor or id leads to it: "
    if found.socket is not None:
        holder = f"socket {found.socket.descriptor} of {found.socket.process}"
        message = f"{told}{holder} keeps it: stop that process; it costs {cost(leaked)}."
    elif found.past is not None:
        holder = KERNEL
        message = f"{told}{unknown_holder(space)}; it costs {cost(leaked)}."
    else:
        holder = KERNEL
        message = (
            f"{told}the kernel itself or something in flight holds it{counted(space)}, and no pod "
            "is known to have lost it: it may be a service manager's, for a service that exited."
        )
    subject = Subject(
        namespace=space.inode,
        holder=holder,
        container=found.past.sandbox if found.past else None,
        **whose(pod, "memory"),
    )
    return message, subject


def unknown_holder(listed: Listed | None) -> str:
    """Return what to do about a namespace that is held by nobody knows whom."""
    told = f"the kernel itself or something in flight holds it{counted(listed)}"
    return f"{told}: end what used it, and if it stays, only a reboot frees it"


def title(inode: int | None, nsid: int | None) -> str:
    """Return a namespace by what is known of it."""
    names = [str(inode)] if inode is not None else []
    names += [f"nsid {nsid}"] if nsid is not None else []
    return f"Network namespace {' '.join(names[:1])}{''.join(f' ({n})' for n in names[1:])}"


def of(pod: Pod | None) -> str:
    """Return whose namespace it is."""
    return f" of pod {pod.title}" if pod else " of an unknown pod"


def known_by(pod: Pod | None, how: str | None) -> str:
    """Return how a pod's name is known, where it is not by a process of it that lives."""
    words = None if pod is None else _KNOWN_BY.get(how or pod.known_by)
    return f" (pod known {words})" if words else ""


def since(seen: datetime | None) -> str:
    """Return until when a namespace was in use, as far as that is known."""
    if seen is None:
        return ""
    return f" since {seen.astimezone(UTC).strftime('%Y-%m-%d %H:%M UTC')}"


def cost(leaked: int) -> str:
    """Return what a leaked namespace costs, and what all of them do."""
    each = f"about {BYTES_EACH >> 10} KiB of kernel memory"
    if leaked < 2:
        return each
    return f"{each} ({leaked * BYTES_EACH / (1 << 20):.1f} MiB for all {leaked})"


def whose(pod: Pod | None, known_by: str | None) -> dict[str, str | None]:
    """Return the fields of a subject that name a pod."""
    if pod is None:
        return {}
    return {"pod": pod.title, "pod_uid": pod.uid, "pod_known_by": known_by or pod.known_by}


def counted(listed: Listed | None) -> str:
    """Return how many references the kernel counts, where that is known."""
    if listed is None:
        return ""
    return f" (the kernel counts {listed.active} reference{'' if listed.active == 1 else 's'})"


def unaccounted(excess: int) -> str:
    """Return the message on namespaces that only the slab allocator counts."""
    memory = excess * BYTES_EACH / (1 << 20)
    return (
        f"The kernel's slab net_namespace had {excess} more network namespaces in every look of "
        "the last hour than ids, processes, mounts, descriptors and sockets show, about "
        f"{memory:.1f} MiB: others may have leaked that have no id, unless no namespace was "
        "destroyed meanwhile, since the last ones stay counted until the next is; make /proc/kcore "
        "readable for the agent to have them named."
    )


def unseen(ids: tuple[int, ...]) -> str:
    """Return the message on namespaces that only listns(2) shows."""
    named = ", ".join(str(number) for number in ids[:4])
    return (
        f"The kernel's own listing (listns) has {len(ids)} network namespace"
        f"{'' if len(ids) == 1 else 's'} in use (id {named}) that no process, mount or descriptor "
        "leads to: an open namespace file may be in flight between processes, or in a place that "
        "the agent may not look at."
    )
