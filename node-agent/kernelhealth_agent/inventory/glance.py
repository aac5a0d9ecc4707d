"""A quick look: what was known at the last look is verified, and only what is new is read.

It believes in no more than it has verified: of each namespace one process, mount or descriptor was
asked and leads there. That something is out of reach it never says; such a question is for
``reach.look``, which reads everything anew.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from kernelhealth_agent import namespace_files
from kernelhealth_agent.hosts import Host, familiar
from kernelhealth_agent.inventory import reach, tables
from kernelhealth_agent.inventory.known import Answers, Known
from kernelhealth_agent.inventory.reach import Reach
from kernelhealth_agent.kernel.namespaces import Namespace, Remembered


@dataclasses.dataclass(frozen=True, slots=True)
class Glance:
    """What a quick look came to, and the namespaces, by inode, that a known process is still in."""

    reach: Reach
    sure: Collection[int]


def look(
    host: Host, known: Known, memory: Mapping[int, Remembered], answers: Answers
) -> Glance | None:
    """Look quickly; None where nothing can be told like this. Raises ``HostError``."""
    before = reach.known_ids(host)
    listed = familiar.tasks(host, known.settled, known.tasks)
    if listed is None:
        return None
    tasks = {task.pid: task for task in listed}
    mounts, blind = tables.read(host, tasks, known)
    sure = {task.netns for pid, task in tasks.items() if pid in known.settled}
    spaces = _identified(host, reach.spaces_of(host, tasks, mounts, known), known, sure)
    own_inode = reach.own_inode(host, listed)
    own = spaces.pop(own_inode, Namespace(own_inode))
    links = reach.listed_links(host)
    ids = before - reach.outside(host, links, before - reach.reached(own, spaces))
    if ids - reach.reached(own, spaces):
        spaces |= _asked(host, (space for space in spaces.values() if space.nsid is None))
    unexplained = ids - reach.reached(own, spaces) - answers.lost
    blind = tuple(dict.fromkeys((*known.blind, *blind)))
    seen = Reach(memory, own, spaces, ids - unexplained, links, tasks, blind)
    return Glance(dataclasses.replace(seen, open=frozenset(unexplained)), sure)


def _identified(
    host: Host, spaces: Iterable[Namespace], known: Known, sure: Collection[int]
) -> dict[int, Namespace]:
    """Return the namespaces with their ids: a namespace keeps the one that it has."""
    past, told, new = known.spaces, {}, []
    for space in spaces:
        if space.inode in past and space.inode in sure:
            told[space.inode] = dataclasses.replace(space, nsid=past[space.inode].nsid)
        else:
            new.append(space)
    return told | _asked(host, new)


def _asked(host: Host, spaces: Iterable[Namespace]) -> dict[int, Namespace]:
    return namespace_files.identified(host, list(spaces))
