"""Processes below ``/proc``: the namespaces they are in, and the namespace files they hold open.

Text and numbers only, no objects on the way: this is done for ten thousand processes a round.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Descriptor, Task

_REFUSED = {errno.EACCES, errno.EPERM}


def tasks(prefix: str, directories: Iterable[str]) -> list[Task]:
    """Return every process, and every thread that is in another network namespace than it.

    *directories* are the full paths of the processes' directories; *prefix* leads to ``proc``.
    Links are read and not followed: following one makes an inode in the kernel for each
    namespace. A process that ends meanwhile is left out. Raises ``ForbiddenError`` where it
    cannot be told in which namespace some process is: it might hold any of them.
    """
    found: list[Task] = []
    hidden: list[str] = []
    readlink = os.readlink
    for directory in directories:
        try:
            netns = int(readlink(directory + "/ns/net")[5:-1])
            mntns = int(readlink(directory + "/ns/mnt")[5:-1])
        except OSError as error:
            if error.errno in _REFUSED:
                hidden.append(directory)
            elif _threads(directory) > 1:  # The first thread ended, others go on.
                found += _stray_threads(directory, None, None)
            continue
        except ValueError as error:
            path = directory.removeprefix(prefix)
            raise errors.UnreadableError(f"{path}/ns", str(error)) from error
        found.append(Task(int(directory.rpartition("/")[2]), netns, mntns))
        if _threads(directory) > 1:
            found += _stray_threads(directory, netns, mntns)
    return found + _unhidden(prefix, hidden, found) if hidden else found


def descriptors(directories: Iterable[str], own: int | None) -> list[Descriptor]:
    """Return every open descriptor of a network namespace file, but those of the process *own*."""
    found = []
    readlink = os.readlink
    for directory in directories:
        pid = int(directory.rpartition("/")[2])
        if pid == own:
            continue
        open_files, numbers = _open_files(directory)
        for number in numbers:
            try:
                target = readlink(f"{open_files}/{number}")
                if target.startswith("net:["):
                    found.append(Descriptor(pid, int(number), int(target[5:-1])))
            except OSError:
                continue
            except ValueError as error:
                raise errors.UnreadableError(f"proc/{pid}/fd/{number}", str(error)) from error
    return found


def _open_files(directory: str) -> tuple[str, list[str]]:
    """Return the directory of a process's descriptors, and their numbers."""
    try:
        open_files = directory + "/fd"
        numbers = os.listdir(open_files)
        if not numbers and _threads(directory) > 1:
            # A first thread that ended has let go of what the others still have open.
            last = max(os.listdir(directory + "/task"), key=int)
            open_files = f"{directory}/task/{last}/fd"
            numbers = os.listdir(open_files)
    except (OSError, ValueError):
        return "", []
    return open_files, numbers


def _unhidden(prefix: str, hidden: list[str], found: list[Task]) -> list[Task]:
    """Return the processes whose links may not be read, by another sign of their namespace.

    ``/proc/PID/net`` needs no ptrace access, and its files have inode numbers of their own in
    each network namespace (fs/proc/proc_net.c), so that equal ones are of one namespace.
    """
    pids = {task.netns: task.pid for task in reversed(found)}
    known = {
        inode: netns
        for netns, pid in pids.items()
        for inode in [_net_inode(f"{prefix}proc/{pid}")]
        if _is_still_in(f"{prefix}proc/{pid}", netns)
    }
    tasks, unknown = [], 0
    for directory in hidden:
        inode = _net_inode(directory)
        if inode is not None and inode in known:
            tasks.append(Task(int(directory.rpartition("/")[2]), known[inode], 0))
        else:
            # One that ended, and whose parent did not ask yet, is in no namespace any more.
            unknown += inode is not None or _threads(directory) > 1
    if unknown:
        raise errors.ForbiddenError(f"proc/*/ns/net of {unknown} processes", "CAP_SYS_PTRACE")
    return tasks


def _net_inode(directory: str) -> int | None:
    try:
        return os.stat(directory + "/net/dev").st_ino
    except OSError:
        return None


def _is_still_in(directory: str, netns: int) -> bool:
    """Whether a process that was seen in a namespace has not left it since."""
    try:
        return os.readlink(directory + "/ns/net") == f"net:[{netns}]"
    except OSError:
        return False


def _threads(directory: str) -> int:
    """Return how many threads a process has; 0 where it is gone."""
    try:
        # A directory has two links of its own, and one from each thread's directory.
        return os.stat(directory + "/task").st_nlink - 2
    except OSError:
        return 0


def _stray_threads(directory: str, netns: int | None, mntns: int | None) -> Iterator[Task]:
    """Yield the threads of a process that are in another network namespace than the process.

    None is for a process whose first thread ended, and tells no namespace any more.
    """
    own = f"net:[{netns}]"
    with contextlib.suppress(OSError):
        for thread in os.listdir(directory + "/task"):
            place = f"{directory}/task/{thread}/ns"
            with contextlib.suppress(OSError, ValueError):
                target = os.readlink(f"{place}/net")
                if target != own:
                    seen = int(os.readlink(f"{place}/mnt")[5:-1]) if mntns is None else mntns
                    yield Task(int(thread), int(target[5:-1]), seen)
