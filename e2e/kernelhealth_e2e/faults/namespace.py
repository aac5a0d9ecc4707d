"""A throw-away network namespace with one process in it, as a pod's sandbox is."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass

_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
# Not in the child: a thread may hold the loader's lock at the moment of the fork.
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A process that does nothing in a network namespace of its own."""

    pid: int
    inode: int
    end: int

    @property
    def file(self) -> str:
        """The file of its network namespace."""
        return f"/proc/{self.pid}/ns/net"

    def stop(self) -> None:
        """End the process; the namespace goes unless something else keeps it."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


@contextlib.contextmanager
def sandbox(flags: int = 0) -> Iterator[Sandbox]:
    """Start a process in a new network namespace; *flags* add other new namespaces."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _be_sandbox(write, flags)
    os.close(write)
    try:
        if os.read(read, 1) != b"+":
            raise OSError("the process could not make a network namespace: root is needed")
        made = Sandbox(pid, os.stat(f"/proc/{pid}/ns/net").st_ino, read)  # noqa: PTH116
        try:
            yield made
        finally:
            made.stop()
    finally:
        os.close(read)


def _be_sandbox(ready: int, flags: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.write(ready, b"-" if _LIBC.unshare(_CLONE_NEWNET | flags) else b"+")
    while True:
        select.select([], [], [])
