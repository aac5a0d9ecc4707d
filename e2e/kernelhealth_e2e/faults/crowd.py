"""Many processes in many network and mount namespaces: what a busy node looks like to an agent."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import signal
import sys
from collections.abc import Iterator

_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def crowd(namespaces: int, processes: int) -> Iterator[None]:
    """Keep *processes* processes alive in *namespaces* new network namespaces, evenly.

    Each namespace is one group: a leader with a network and a mount namespace of its own, and
    children. Everything ends with the context, and with the calling process.
    """
    each = processes // namespaces
    end_read, end_write = os.pipe()
    ready_read, ready_write = os.pipe()
    leaders = []
    try:
        for _ in range(namespaces):
            leader = os.fork()
            if leader == 0:
                _lead(each - 1, end_read, end_write, ready_write)
            leaders.append(leader)
        for _ in leaders:
            if os.read(ready_read, 1) != b"+":
                raise OSError("a group of the crowd could not be started: root is needed")
        yield
    finally:
        for descriptor in (end_read, end_write, ready_read, ready_write):
            os.close(descriptor)
        for leader in leaders:
            os.waitpid(leader, 0)


def _lead(children: int, end_read: int, end_write: int, ready_write: int) -> None:
    """Be the leader of one group until the other end of the pipe is closed."""
    os.close(end_write)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS):
        os.write(ready_write, b"-")
        os._exit(1)
    for _ in range(children):
        if os.fork() == 0:
            _wait_for_end(end_read)
    os.write(ready_write, b"+")
    _wait_for_end(end_read)


def _wait_for_end(end_read: int) -> None:
    select.select([end_read], [], [])
    os._exit(0)


def main() -> None:
    """Keep a crowd until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: crowd 1000 10000")
    parser.add_argument("namespaces", type=int)
    parser.add_argument("processes", type=int)
    arguments = parser.parse_args()
    with crowd(arguments.namespaces, arguments.processes):
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
