"""Mount tables: which network namespaces are mounted where, without reading every table each time.

A node has as many tables as containers, and a table may have thousands of lines, so that reading
all of them costs more than all the rest. Namespaces are mounted in that of the first process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from kernelhealth_agent import errors, namespace_files
from kernelhealth_agent.hosts import Host, Task
from kernelhealth_agent.inventory.known import Known
from kernelhealth_agent.kernel.namespaces import Mount

Mounts = dict[int, list[Mount]]


def read(
    host: Host, tasks: Mapping[int, Task], known: Known | None
) -> tuple[Mounts, tuple[str, ...]]:
    """Return the mounts of all tables, and a sentence for each that could not be looked at.

    With what is *known* only the table of the first process is read again, which the runtime
    mounts namespaces in, and those that are new or changed. What others had is verified.
    """
    if known is None:
        return namespace_files.mounts(host, tasks.values())
    before = {task.mntns for pid, task in tasks.items() if known.settled.get(pid) == task}
    kept = [(at, mount) for at, space in known.spaces.items() for mount in space.mounts]
    again = {tasks[1].mntns} if 1 in tasks else set()
    again |= {task.mntns for task in tasks.values()} - before
    for inode, mount in kept:
        there = mount.pid in tasks and _leads(host, mount.file, inode)
        if not there and mount.pid in known.tasks:
            again.add(known.tasks[mount.pid].mntns)
    read = [task for task in tasks.values() if task.mntns in again]
    found, blind = namespace_files.mounts(host, read)
    for inode, mount in kept:
        if mount.pid in tasks and tasks[mount.pid].mntns not in again:
            found.setdefault(inode, []).append(mount)
    return found, blind


def _leads(host: Host, path: str, inode: int) -> bool:
    with contextlib.suppress(errors.HostError):
        return host.inode(path) == inode
    return False
