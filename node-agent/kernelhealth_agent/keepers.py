"""Looks for what of user space keeps a network namespace."""

from __future__ import annotations

import contextlib

from kernelhealth_agent import errors, kernel_list
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.in_flight import InFlight
from kernelhealth_agent.hosts.listed_namespaces import ListedNamespaces
from kernelhealth_agent.kernel import cgroups, in_flight, listed_namespaces, naming
from kernelhealth_agent.kernel.in_flight import InTransit
from kernelhealth_agent.kernel.leaks import Kept
from kernelhealth_agent.kernel.listed_namespaces import InUse
from kernelhealth_agent.kernel.namespace_answers import Answers, Socket
from kernelhealth_agent.kernel.namespace_views import Views
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace, Pod
from kernelhealth_agent.source import Occasion


def answers(host: Host, occasion: Occasion[Views]) -> Answers:
    """Return who keeps what is out of reach, as far as sockets and the kernel's own list tell.

    Thorough looks ask anew; others only where something else is out of reach, or since recently.
    """
    inventory, uptime = occasion.inventory, occasion.moment.uptime
    about = tuple(sorted(inventory.unreachable))
    past = occasion.memory.answers if occasion.memory is not None else None
    if past is not None and not inventory.thorough and past.serves(about, uptime):
        return past
    same = past is not None and past.about == about and past.uptime <= uptime
    since = past.since if past is not None and same else uptime
    listed = kernel_list.ask(host, inventory)
    alone = kernel_list.alone(host, inventory, listed)
    found = sockets(host, inventory) if about or alone else ()
    return Answers(uptime, since, about, found, listed, alone)


def sockets(host: Host, inventory: Inventory) -> tuple[tuple[int | None, Socket], ...]:
    """Return an open socket in each namespace that nothing else reaches, with the id of that.

    Empty where sockets cannot be looked at.
    """
    known = {inventory.host.inode, *inventory.namespaces}
    with contextlib.suppress(errors.HostError):
        return tuple(
            (holder.nsid, Socket(process(host, holder.pid, inventory), holder.number, holder.inode))
            for holder in host.strangers(known)
        )
    return ()


def in_transit(host: Host, inventory: Inventory) -> tuple[InTransit, ...]:
    """Return the unix sockets at which descriptors wait; empty where that cannot be told."""
    with contextlib.suppress(errors.HostError):
        queues = in_flight.queues(host.probe(InFlight()), in_flight.NAME)
        return tuple(
            InTransit(process(host, queue.pid, inventory), queue.socket, queue.waiting)
            for queue in queues
        )
    return ()


def in_use(host: Host, inventory: Inventory) -> InUse | None:
    """Return the namespaces that the kernel calls in use; None before Linux 6.19.

    It costs an open file of each namespace: only thorough looks ask.
    """
    if not inventory.thorough:
        return None
    spaces = (inventory.host, *inventory.namespaces.values())
    known = tuple(space.file for space in spaces if space.file is not None)
    with contextlib.suppress(errors.HostError):
        answer = host.probe(ListedNamespaces(known))
        return listed_namespaces.in_use(answer, listed_namespaces.NAME)
    return None


def process(host: Host, pid: int, inventory: Inventory | None = None) -> str:
    """Return a process as comm[pid], with the pod that it is of, if that is one of the node's."""
    try:
        comm = naming.short(host.read(f"proc/{pid}/comm").decode(errors="replace").strip())
    except errors.HostError:
        comm = "?"
    pod = None if inventory is None else _pod(host, pid, inventory)
    return f"{comm}[{pid}]{f' of pod {pod.title}' if pod is not None else ''}"


def _pod(host: Host, pid: int, inventory: Inventory) -> Pod | None:
    with contextlib.suppress(errors.HostError):
        found = cgroups.pod(host.read(f"proc/{pid}/cgroup"))
        return None if found is None else inventory.pods.get(found[0])
    return None


def kept(host: Host, inventory: Inventory) -> list[Kept]:
    """Return the namespaces that something still reaches although the kubelet's pod is gone."""
    found = []
    for space in inventory.namespaces.values():
        pod = space.pod
        if not inventory.pods_known or pod is None or pod.uid in inventory.pods:
            continue
        how, holder = _holder(host, space, inventory)
        found.append(Kept(space, pod, holder, how))
    return found


def _holder(host: Host, space: Namespace, inventory: Inventory) -> tuple[str, str]:
    """Return what keeps a namespace (process, mount or descriptor), in one word and in words."""
    if space.pids:
        return "process", f"process {process(host, space.pids[0], inventory)}"
    if space.mounts:
        mount = space.mounts[0]
        seen_by = process(host, mount.pid, inventory)
        return "mount", f"mount {mount.path} in the mount namespace of {seen_by}"
    pid, number = space.descriptors[0]
    return "descriptor", f"descriptor {number} of {process(host, pid, inventory)}"
