"""Tasks and mounts by the network namespace that they lead to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from kernelhealth_agent.hosts import Task
from kernelhealth_agent.kernel.namespaces import Mount, Namespace

_PIDS_KEPT = 8


def grouped(tasks: Iterable[Task], mounts: Mapping[int, list[Mount]]) -> list[Namespace]:
    """Return the namespaces that tasks and mounts reach."""
    seen: dict[int, list[tuple[int, int]]] = defaultdict(list)
    hidden: dict[int, int] = defaultdict(int)
    for task in tasks:
        if task.mntns:
            seen[task.netns].append((task.pid, task.mntns))
        else:
            hidden[task.netns] += 1
    return [
        Namespace(
            inode,
            processes=len(seen[inode]) + hidden[inode],
            pids=_kept(sorted(seen[inode])),
            mounts=tuple(mounts.get(inode, ())),
        )
        for inode in {*seen, *hidden, *mounts}
    ]


def _kept(tasks: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Return some of a namespace's processes, in order: the first, and one of each container.

    A pod whose first container has many processes has others, too, which a mount namespace tells.
    """
    if len(tasks) <= _PIDS_KEPT:
        return tuple(pid for pid, _ in tasks)
    first: dict[int, int] = {}
    for pid, mntns in tasks:
        first.setdefault(mntns, pid)
    kept = list(first.values())[:_PIDS_KEPT]
    others = (pid for pid, _ in tasks if pid not in kept)
    return tuple(sorted([*kept, *islice(others, _PIDS_KEPT - len(kept))]))
