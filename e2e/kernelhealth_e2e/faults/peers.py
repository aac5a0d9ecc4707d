"""The processes at the two ends of a connection, and the pipes by which they are told and tell."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
from collections.abc import Callable, Iterator

from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import Sandbox

PATIENCE = 60.0
"""Seconds."""
_PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Make a pipe, its end for reading first, until the context ends."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


@contextlib.contextmanager
def process(place: Sandbox, work: Callable[[], None]) -> Iterator[int]:
    """Run *work* in a process inside a namespace until the context ends; yields its number."""
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            with held_namespace.inside(place.file):
                work()
        finally:
            os._exit(1)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def told(end: int) -> bytes:
    """Return what a process says; ``TimeoutError`` where it says nothing."""
    ready, _, _ = select.select([end], [], [], PATIENCE)
    if not ready:
        raise TimeoutError(f"a process of the connection said nothing for {PATIENCE:g} s")
    return os.read(end, 64)
