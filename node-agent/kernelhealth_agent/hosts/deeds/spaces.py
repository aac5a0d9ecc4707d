"""Network namespaces in which something is done: those that were looked at, and no others."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import nsfs


@dataclass(frozen=True, slots=True)
class Space:
    """A network namespace by inode number, and the *file* below the root that leads there."""

    inode: int
    file: str
    is_host: bool

    @property
    def title(self) -> str:
        """The namespace in words."""
        return "the host's namespace" if self.is_host else f"network namespace {self.inode}"


@contextlib.contextmanager
def entered(root: str, space: Space) -> Iterator[str]:
    """Give the full path of a namespace file that leads there and stays so.

    ``AbsentError`` where the file leads elsewhere by now, ``OSError`` where it is gone.
    """
    opened = nsfs.opened(f"{root.rstrip('/')}/{space.file}")
    try:
        if os.fstat(opened).st_ino != space.inode:
            raise errors.AbsentError(space.file, f"leads to net:[{space.inode}] no longer")
        yield f"/proc/self/fd/{opened}"
    finally:
        os.close(opened)
