"""Counts the directories of a cgroup hierarchy, each of which is a group that was not removed."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CgroupDirectories:
    """How many groups a hierarchy has, with its root; *point* is where it is mounted.

    A directory has two links of its own and one from each below it (fs/kernfs/inode.c:
    kernfs_refresh_inode), so that those without any are not listed. A group has fifty files.
    """

    point: str

    @property
    def name(self) -> str:
        """The name of the question."""
        return f"cgroup-directories/{self.point.strip('/')}"

    def ask(self, root: str) -> bytes:
        """Walk the hierarchy once."""
        top = root + self.point.strip("/")
        links = os.stat(top).st_nlink
        waiting, count = [top] if links > 2 else [], 1
        while waiting:
            with contextlib.suppress(FileNotFoundError), os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        count += 1
                        if _links(entry) > 2:
                            waiting.append(entry.path)
        return str(count).encode()


def _links(entry: os.DirEntry[str]) -> int:
    """Return the links of a directory; 0 for one that was removed meanwhile."""
    try:
        return entry.stat(follow_symlinks=False).st_nlink
    except FileNotFoundError:
        return 0
