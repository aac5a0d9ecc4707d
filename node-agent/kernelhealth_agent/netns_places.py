"""Finds the file that leads into a network namespace of which only the inode number is known."""

from __future__ import annotations

import contextlib

from kernelhealth_agent import errors, namespace_files
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds.spaces import Space


def space(host: Host, inode: int) -> Space:
    """Return the namespace with a path below the root that leads there now: a process, or a mount.

    Inode numbers are given away again: who changes something inside has to recognize it by more.
    Raises ``AbsentError`` where nothing leads there.
    """
    tasks = host.tasks()
    is_host = any(task.pid == 1 and task.netns == inode for task in tasks)
    inside = sorted(task.pid for task in tasks if task.netns == inode)
    found = [f"proc/{pid}/ns/net" for pid in inside]
    if not found:
        mounts, _ = namespace_files.mounts(host, tasks)
        found = [mount.file for mount in mounts.get(inode, ())]
    for path in found:
        with contextlib.suppress(errors.HostError):
            if host.inode(path) == inode:
                return Space(inode, path, is_host)
    raise errors.AbsentError(f"net:[{inode}]", "is gone, or nothing leads there any more")
