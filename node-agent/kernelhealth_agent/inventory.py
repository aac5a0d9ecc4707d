"""Takes the inventory of a host's network namespaces: the heart of the agent.

Order matters. The ids are dumped before the processes are listed and once more afterwards, and only
those in both count: a namespace that is born or dies during the look is in one of them at most, so
that it cannot seem unreachable.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from kernelhealth_agent import attribution, claims, errors, namespace_files, uplinks
from kernelhealth_agent.hosts import Host, Task
from kernelhealth_agent.kernel import rtnetlink
from kernelhealth_agent.kernel.namespaces import Inventory, Mount, Namespace, Remembered

_PIDS_KEPT = 8
_MOST_REMEMBERED = 4096


def take(
    host: Host,
    now: datetime,
    memory: Mapping[int, Remembered],
    places: attribution.Places | None = None,
    *,
    thorough: bool = True,
) -> Inventory:
    """Look at every process, mount and link once; *memory* is of earlier looks.

    The descriptors of all processes cost more than all the rest. Without *thorough* they are
    looked at only where a question is open: an id whose namespace nothing else reaches, or a
    remembered namespace that is out of sight. Raises ``HostError`` where a namespace could not be
    seen although it is reachable, since a leak would be claimed of it then.
    """
    before = _known_ids(host)
    tasks = host.tasks()
    host_inode = _host_inode(host, tasks)
    mounts, blind = namespace_files.mounts(host, tasks)
    spaces = namespace_files.identified(host, _grouped(tasks, mounts))
    own = spaces.pop(host_inode, Namespace(host_inode))
    if thorough or before - _reached(own, spaces) or _out_of_sight(memory, spaces):
        own, spaces = _with_descriptors(host, own, spaces)
    links = rtnetlink.links(host.dump(rtnetlink.links_request()), "netlink links")
    ids = before
    if before - _reached(own, spaces):
        spaces, sealed = namespace_files.opened(host, spaces, memory)
        blind += claims.doubts(host, tasks, sealed)
        ids = claims.unless_sealed(before, _reached(own, spaces), sealed, memory)
        ids -= uplinks.outside(host, links)
    places = places or attribution.Places()
    pods, named = attribution.pods(host, places), attribution.named(host, places)
    namespaces = {
        inode: attribution.attributed(host, space, named, memory) for inode, space in spaces.items()
    }
    if pods is not None and (why := attribution.doubt(pods, named, namespaces.values(), places)):
        pods, blind = None, (*blind, why)
    return Inventory(
        boot_id=boot_id(host),
        taken=now,
        host=own,
        namespaces=namespaces,
        nsids=frozenset(ids & _known_ids(host)) - {own.nsid},
        links=links,
        pods=pods or {},
        pods_known=pods is not None,
        memory=memory,
        processes=len(tasks),
        blind=blind,
        thorough=thorough,
    )


def boot_id(host: Host) -> str:
    """Return the id of the boot, by which a reboot is told (random.c: proc_do_uuid)."""
    return host.read("proc/sys/kernel/random/boot_id").decode(errors="replace").strip()


def remember(inventory: Inventory) -> dict[int, Remembered]:
    """Return the memory after a look: the pods' namespaces that are reached, and the lost ones.

    A namespace out of reach is remembered while its id is in the kernel and nobody else's: then
    it is leaked. Without an id it is forgotten, for it cannot be seen again. 4096 at the most,
    the newest.
    """
    in_use = {space.nsid for space in inventory.namespaces.values()}
    kept = [
        past
        for past in inventory.memory.values()
        if past.inode not in inventory.namespaces
        and past.nsid in inventory.nsids
        and past.nsid not in in_use
    ]
    kept += [
        Remembered(space.inode, space.nsid, space.pod, space.sandbox, inventory.taken, space.cookie)
        for space in inventory.namespaces.values()
        if space.pod is not None
    ]
    newest = sorted(kept, key=lambda past: past.seen, reverse=True)[:_MOST_REMEMBERED]
    return {past.inode: past for past in newest}


def _out_of_sight(memory: Mapping[int, Remembered], spaces: Mapping[int, Namespace]) -> bool:
    """Whether a remembered namespace without an id, which only descriptors can show, is lost."""
    return any(past.nsid is None and inode not in spaces for inode, past in memory.items())


def _reached(own: Namespace, spaces: Mapping[int, Namespace]) -> set[int | None]:
    """Return the ids of the namespaces that something leads to."""
    return {own.nsid, *(space.nsid for space in spaces.values())}


def _known_ids(host: Host) -> set[int]:
    return set(rtnetlink.nsids(host.dump(rtnetlink.nsids_request()), "netlink nsids"))


def _host_inode(host: Host, tasks: Iterable[Task]) -> int:
    """Return the host's namespace, which is that of process 1; the agent has to be in it too."""
    first, own = None, None
    for task in tasks:
        if task.pid == 1:
            first = task.netns
        if task.pid == host.own_pid:
            own = task.netns
    if first is None:
        raise errors.AbsentError("proc/1", "is missing: the agent needs hostPID: true")
    if host.own_pid is not None and own != first:
        why = "is another network namespace than the agent's: it needs hostNetwork: true"
        raise errors.UnreadableError("proc/1/ns/net", why)
    return first


def _grouped(tasks: Iterable[Task], mounts: Mapping[int, list[Mount]]) -> list[Namespace]:
    """Return the namespaces that tasks and mounts reach."""
    pids: dict[int, list[int]] = defaultdict(list)
    hidden: dict[int, int] = defaultdict(int)
    for task in tasks:
        if task.mntns:
            pids[task.netns].append(task.pid)
        else:
            hidden[task.netns] += 1
    return [
        Namespace(
            inode,
            processes=len(pids[inode]) + hidden[inode],
            pids=tuple(sorted(pids[inode])[:_PIDS_KEPT]),
            mounts=tuple(mounts.get(inode, ())),
        )
        for inode in {*pids, *hidden, *mounts}
    ]


def _with_descriptors(
    host: Host, own: Namespace, spaces: Mapping[int, Namespace]
) -> tuple[Namespace, dict[int, Namespace]]:
    """Return the namespaces with who holds them open, and those that only descriptors reach."""
    holders: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for descriptor in host.descriptors():
        holders[descriptor.inode].append((descriptor.pid, descriptor.number))
    held = {inode: tuple(found[:_PIDS_KEPT]) for inode, found in holders.items()}
    new = [Namespace(inode, descriptors=held[inode]) for inode in held.keys() - spaces.keys()]
    found = namespace_files.identified(host, [space for space in new if space.inode != own.inode])
    for inode, space in spaces.items():
        found[inode] = dataclasses.replace(space, descriptors=held.get(inode, ()))
    return dataclasses.replace(own, descriptors=held.get(own.inode, ())), found
