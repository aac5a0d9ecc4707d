"""Processes that were read before, without reading each of them again.

Which processes there are is one listing. Of those in one namespace the first answers for the rest:
it is asked whether it is still there, so that the namespace is reached beyond doubt. A process
that went elsewhere meanwhile is still taken to be where it was: that may hide a namespace that only
it reaches now, and never invents one.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host, Task


def tasks(host: Host, known: Mapping[int, Task], seen: Collection[int]) -> list[Task] | None:
    """Return the tasks of now, by those of an earlier look: *known*, by number.

    *seen* are the numbers of all tasks of the earlier look, also of those that are not believed to
    be where they were. None where it cannot be told like this: a process may not be asked, has
    another namespace than it had, or says something that cannot be understood. ``HostError`` where
    nothing is listed.
    """
    listed = {int(name) for name in host.names("proc") if name.isdecimal()}
    try:
        found = list(_verified(host, (task for pid, task in known.items() if pid in listed)))
        for pid in listed.difference(known):
            found += _read(host, pid, alone=False)
        for pid in set(seen) - listed - {task.pid for task in found}:
            # Threads are not listed; all others have ended.
            found += _read(host, pid, alone=True)
    except (errors.ForbiddenError, ValueError, _MovedError):
        return None
    return found


class _MovedError(Exception):
    """A process is in another network namespace than it was, or is another process."""


def _verified(host: Host, assumed: Iterable[Task]) -> Iterator[Task]:
    """Yield the tasks, but those that ended; one of each network namespace was asked."""
    groups: dict[int, list[Task]] = defaultdict(list)
    for task in assumed:
        groups[task.netns].append(task)
    for netns, group in groups.items():
        group.sort(key=_rank)
        for place, task in enumerate(group):
            with contextlib.suppress(errors.AbsentError):
                if host.link(f"proc/{task.pid}/ns/net") != f"net:[{netns}]":
                    raise _MovedError
                yield from group[place:]
                break


def _rank(task: Task) -> tuple[bool, int]:
    """Return what those go by that can be asked, the lowest number first; the others come last."""
    return not task.mntns, task.pid


def _read(host: Host, pid: int, *, alone: bool) -> Iterator[Task]:
    """Yield a task and, but for one *alone*, its threads elsewhere; nothing of one that ended."""
    directory = f"proc/{pid}"
    own = None
    with contextlib.suppress(errors.AbsentError):
        own = _task(host, directory, pid)
        yield own
    if not alone:
        with contextlib.suppress(errors.AbsentError):
            yield from _elsewhere(host, directory, own)


def _elsewhere(host: Host, directory: str, own: Task | None) -> Iterator[Task]:
    names = host.names(f"{directory}/task")
    for name in names if own is None or len(names) > 1 else ():
        with contextlib.suppress(errors.AbsentError):
            thread = _task(host, f"{directory}/task/{name}", int(name))
            if own is None or thread.netns != own.netns:
                yield thread


def _task(host: Host, directory: str, number: int) -> Task:
    netns = int(host.link(f"{directory}/ns/net")[5:-1])
    return Task(number, netns, int(host.link(f"{directory}/ns/mnt")[5:-1]))
