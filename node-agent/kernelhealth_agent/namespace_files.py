"""Finds the files that lead to network namespaces, and which of them still do."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host, Task
from kernelhealth_agent.kernel import mountinfo
from kernelhealth_agent.kernel.namespaces import Mount, Namespace, Remembered

_MOUNTINFO = 16 << 20
_SEERS = 4
_MOUNTS_KEPT = 16


def mounts(host: Host, tasks: Iterable[Task]) -> tuple[dict[int, list[Mount]], tuple[str, ...]]:
    """Return the mounts of namespace files by inode number, one look per mount namespace.

    Beside them, a sentence for each mount namespace that could not be looked at, or not whole.
    Anybody may mount a namespace a hundred thousand times: the first 16 of each are kept.
    """
    seers: dict[int, list[int]] = defaultdict(list)
    # The first process of a container lives longest, and sees what others may have left behind.
    for task in sorted(tasks, key=lambda task: task.pid):
        if task.mntns and len(seers[task.mntns]) < _SEERS:
            seers[task.mntns].append(task.pid)
    found: dict[int, list[Mount]] = defaultdict(list)
    blind: list[str] = []
    for pids in seers.values():
        try:
            for inode, mount in _seen(host, pids, blind):
                if len(found[inode]) < _MOUNTS_KEPT:
                    found[inode].append(mount)
        except errors.ForbiddenError as error:
            blind.append(str(error))
    return found, tuple(blind)


def _seen(host: Host, pids: Sequence[int], blind: list[str]) -> Iterator[tuple[int, Mount]]:
    """Yield the mounts that the first of the processes sees that is still there."""
    for pid in pids:
        path = f"proc/{pid}/mountinfo"
        try:
            found = mountinfo.network_namespaces(_whole_lines(host, path, blind), path)
        except errors.AbsentError:
            continue
        except errors.UnreadableError:
            # Of a process that ended, and whose parent did not ask yet, it is an invalid argument.
            if _is_in_namespaces(host, pid):
                raise
            continue
        yield from ((inode, Mount(pid, where)) for inode, where in found)
        return


def _whole_lines(host: Host, path: str, blind: list[str]) -> bytes:
    """Return a mount table; of one that is too long the beginning, and *blind* says so."""
    text = host.read(path, _MOUNTINFO)
    if len(text) < _MOUNTINFO:
        return text
    blind.append(
        f"{path} is longer than {_MOUNTINFO >> 20} MiB and was not read to its end: a network "
        "namespace that is only mounted there seems leaked"
    )
    return text[: text.rfind(b"\n") + 1]


def _is_in_namespaces(host: Host, pid: int) -> bool:
    try:
        host.link(f"proc/{pid}/ns/mnt")
    except errors.AbsentError:
        return False
    except errors.HostError:
        return True
    return True


def identified(host: Host, spaces: Sequence[Namespace]) -> dict[int, Namespace]:
    """Return the namespaces by inode number, with the ids they have in the host's."""
    ids = host.nsids([space.file or "" for space in spaces])
    return {
        space.inode: dataclasses.replace(space, nsid=nsid)
        for space, nsid in zip(spaces, ids, strict=True)
    }


def opened(
    host: Host, spaces: Mapping[int, Namespace], memory: Mapping[int, Remembered]
) -> tuple[dict[int, Namespace], tuple[Namespace, ...]]:
    """Return the namespaces again, each by a file that was seen to lead there.

    The first process may have ended, and something else may be mounted over a mounted file. To
    those in the second place no file leads although they are mounted: unless *memory* has it,
    their id stays unknown.
    """
    leading, sealed = [], []
    for space in spaces.values():
        checked = space if space.nsid is not None and space.pids else _checked(host, space)
        if checked is not None:
            leading.append(checked)
        elif space.mounts:
            sealed.append(space)
    found = identified(host, leading)
    for space in sealed:
        past = memory.get(space.inode)
        found[space.inode] = dataclasses.replace(space, nsid=past.nsid if past else None)
    return found, tuple(space for space in sealed if found[space.inode].nsid is None)


def _checked(host: Host, space: Namespace) -> Namespace | None:
    """Return a namespace whose first file leads there; None where none does."""
    for place, pid in enumerate(space.pids):
        if _leads(host, f"proc/{pid}/ns/net", space):
            return dataclasses.replace(space, pids=space.pids[place:])
    for mount in space.mounts:
        if _leads(host, mount.file, space):
            others = (other for other in space.mounts if other is not mount)
            return dataclasses.replace(space, pids=(), mounts=(mount, *others))
    for place, (pid, number) in enumerate(space.descriptors):
        if _leads(host, f"proc/{pid}/fd/{number}", space):
            held = space.descriptors[place:]
            return dataclasses.replace(space, pids=(), mounts=(), descriptors=held)
    return None


def _leads(host: Host, path: str, space: Namespace) -> bool:
    try:
        return host.inode(path) == space.inode
    except errors.HostError:
        return False
