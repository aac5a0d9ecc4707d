"""Finds out what leads to network namespaces: processes, mounts, and descriptors where need be.

Order matters. The ids are dumped before the processes are listed and once more afterwards, and only
those in both count: a namespace that is born or dies during the look is in one of them at most, so
that it cannot seem unreachable.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from kernelhealth_agent import claims, errors, namespace_files, uplinks
from kernelhealth_agent.hosts import Host, Task
from kernelhealth_agent.inventory import groups, memory, tables
from kernelhealth_agent.inventory.known import Answers, Known
from kernelhealth_agent.kernel import rtnetlink
from kernelhealth_agent.kernel.namespaces import Mount, Namespace, Remembered
from kernelhealth_agent.kernel.rtnetlink import Link

_HOLDERS_KEPT = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Reach:
    """What leads to network namespaces, as one look found it.

    *own* is the host's namespace, *spaces* are the others by inode number. *ids* are those that
    the kernel listed before the look and of which something may be claimed. *tasks* are by number.
    *memory* is what earlier looks knew. *asked* says that whatever could lead to a namespace was
    looked at; *open* are the ids of which that is still to be asked.
    """

    memory: Mapping[int, Remembered]
    own: Namespace
    spaces: Mapping[int, Namespace]
    ids: Collection[int]
    links: tuple[Link, ...]
    tasks: Mapping[int, Task]
    blind: tuple[str, ...] = ()
    thorough: bool = False
    asked: bool = False
    open: frozenset[int] = frozenset()


def look(
    host: Host,
    known: Mapping[int, Remembered],
    last: Known | None = None,
    answers: Answers | None = None,
    *,
    thorough: bool,
) -> Reach:
    """Look at every process and link once; *known* is the memory. Raises ``HostError``.

    Mount tables and descriptors cost more than all the rest. Without *thorough* all of them are
    looked at only where a question is open: an id whose namespace nothing else reaches, or a
    remembered namespace that went out of sight. The *answers* of an earlier look stand, and of the
    mount tables that were read at the *last* look not all are read again.
    """
    before = known_ids(host)
    tasks = {task.pid: task for task in host.tasks()}
    mounts, blind = tables.read(host, tasks, None if thorough else last)
    own, spaces = _identified(host, spaces_of(host, tasks, mounts, last), tasks)
    links = listed_links(host)
    ids = before - outside(host, links, before - reached(own, spaces))
    asked = thorough or _is_open(ids - reached(own, spaces), known, spaces, answers or Answers())
    if asked and not thorough:
        mounts, blind = tables.read(host, tasks, None)
        own, spaces = _identified(host, spaces_of(host, tasks, mounts, last), tasks)
    if asked:
        own, spaces = _with_descriptors(host, own, spaces)
    if asked and ids - reached(own, spaces):
        spaces, sealed = namespace_files.opened(host, spaces, known)
        blind += claims.doubts(host, list(tasks.values()), sealed)
        ids = claims.unless_sealed(ids, reached(own, spaces), sealed, known)
    if last is not None and not asked:
        blind = tuple(dict.fromkeys((*last.blind, *blind)))
    return Reach(known, own, spaces, ids, links, tasks, blind, thorough=thorough, asked=asked)


def _is_open(
    unexplained: Collection[int],
    known: Mapping[int, Remembered],
    spaces: Mapping[int, Namespace],
    answers: Answers,
) -> bool:
    if not answers.lost.issuperset(unexplained):
        return True
    return memory.out_of_sight(known, spaces, answers.at)


def spaces_of(
    host: Host,
    tasks: Mapping[int, Task],
    mounts: Mapping[int, list[Mount]],
    last: Known | None,
) -> list[Namespace]:
    """Return the namespaces that tasks and mounts reach, and descriptors known of the *last* look.

    What an open descriptor reached then stays reached by it, while it is open.
    """
    found = groups.grouped(tasks.values(), mounts)
    inodes = {space.inode for space in found}
    for space in last.spaces.values() if last is not None else ():
        if space.inode not in inodes and (held := tuple(_held(host, space))):
            found.append(Namespace(space.inode, descriptors=held))
    return found


def _held(host: Host, space: Namespace) -> Iterator[tuple[int, int]]:
    for pid, number in space.descriptors:
        with contextlib.suppress(errors.HostError):
            if host.link(f"proc/{pid}/fd/{number}") == f"net:[{space.inode}]":
                yield pid, number


def _identified(
    host: Host, spaces: Sequence[Namespace], tasks: Mapping[int, Task]
) -> tuple[Namespace, dict[int, Namespace]]:
    """Return the host's namespace and the others, with their ids."""
    known = namespace_files.identified(host, spaces)
    inode = own_inode(host, tasks.values())
    return known.pop(inode, Namespace(inode)), known


def reached(own: Namespace, spaces: Mapping[int, Namespace]) -> set[int | None]:
    """Return the ids of the namespaces that something leads to."""
    return {own.nsid, *(space.nsid for space in spaces.values())}


def known_ids(host: Host) -> set[int]:
    """Return the ids that the host's namespace has for itself and others."""
    return set(rtnetlink.nsids(host.dump(rtnetlink.nsids_request()), "netlink nsids"))


def outside(host: Host, links: tuple[Link, ...], unexplained: Collection[int]) -> frozenset[int]:
    """Return those ids that are of no namespace of this host; without any, none is looked for."""
    return uplinks.outside(host, links) if unexplained else frozenset()


def listed_links(host: Host) -> tuple[Link, ...]:
    """Return the links of the host."""
    return rtnetlink.links(host.dump(rtnetlink.links_request()), "netlink links")


def own_inode(host: Host, tasks: Iterable[Task]) -> int:
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


def _with_descriptors(
    host: Host, own: Namespace, spaces: Mapping[int, Namespace]
) -> tuple[Namespace, dict[int, Namespace]]:
    """Return the namespaces with who holds them open, and those that only descriptors reach."""
    holders: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for descriptor in host.descriptors():
        holders[descriptor.inode].append((descriptor.pid, descriptor.number))
    held = {inode: tuple(found[:_HOLDERS_KEPT]) for inode, found in holders.items()}
    new = [Namespace(inode, descriptors=held[inode]) for inode in held.keys() - spaces.keys()]
    found = namespace_files.identified(host, [space for space in new if space.inode != own.inode])
    for inode, space in spaces.items():
        found[inode] = dataclasses.replace(space, descriptors=held.get(inode, ()))
    return dataclasses.replace(own, descriptors=held.get(own.inode, ())), found
