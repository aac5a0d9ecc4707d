"""Many processes in many network and mount namespaces: what a busy node looks like to an agent."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import os
import resource
import select
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 1 << 18
_PR_SET_PDEATHSIG = 1
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


@dataclass(frozen=True, slots=True)
class Load:
    """What else is in a crowd: *mounts* in each group, *sockets* in each of the first *connected*.

    The sockets are TCP connections through the loopback interface, both ends of each counted.
    """

    mounts: int = 0
    sockets: int = 0
    connected: int = 0


@contextlib.contextmanager
def crowd(namespaces: int, processes: int, load: Load | None = None) -> Iterator[tuple[int, ...]]:
    """Keep *processes* processes alive in *namespaces* new network namespaces, evenly.

    Each namespace is one group: a leader with a network and a mount namespace of its own, and
    children. Yields the leaders' numbers. Everything ends with the context, and with the calling
    process.
    """
    load = load or Load()
    each = processes // namespaces
    end_read, end_write = os.pipe()
    ready_read, ready_write = os.pipe()
    leaders: list[int] = []
    # The directory stays: who removes it takes the mounts away from all groups.
    with tempfile.TemporaryDirectory() as below:
        try:
            for number in range(namespaces):
                leader = os.fork()
                if leader == 0:
                    os.close(end_write)
                    sockets = load.sockets if number < load.connected else 0
                    own = Load(load.mounts, sockets)
                    _lead(each - 1, own, below, (end_read, ready_write))
                leaders.append(leader)
            for _ in leaders:
                if os.read(ready_read, 1) != b"+":
                    raise OSError("a group of the crowd could not be started: root is needed")
            yield tuple(leaders)
        finally:
            for descriptor in (end_read, end_write, ready_read, ready_write):
                os.close(descriptor)
            for leader in leaders:
                os.waitpid(leader, 0)


def _lead(children: int, load: Load, below: str, pipes: tuple[int, int]) -> None:
    """Be the leader of one group until the other end of the first pipe is closed."""
    end_read, ready_write = pipes
    kept: list[socket.socket] = []
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _checked(libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS))
        _checked(libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None))
        _mount(libc, below, load.mounts)
        for _ in range(children):
            if os.fork() == 0:
                _wait_for_end(end_read)
        kept += _connections(load.sockets // 2)
    except BaseException:  # noqa: BLE001 - Nothing of the caller's may run in the child.
        os.write(ready_write, b"-")
        os._exit(1)
    os.write(ready_write, b"+")
    _wait_for_end(end_read)


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _mount(libc: ctypes.CDLL, below: str, count: int) -> None:
    """Make *count* mounts below a directory of the group's own."""
    if count:
        _checked(libc.mount(b"crowd", below.encode(), b"tmpfs", 0, b"size=1m"))
    for number in range(count - 1):
        place = Path(below, str(number))
        place.mkdir()
        _checked(libc.mount(below.encode(), bytes(place), None, _MS_BIND, None))


def _connections(count: int) -> list[socket.socket]:
    """Return both ends of *count* connections inside the namespace."""
    if not count:
        return []
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    listener = socket.socket()
    fcntl.ioctl(listener, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
    listener.bind(("127.0.0.1", 0))
    listener.listen(8)
    ends = [listener]
    for _ in range(count):
        ends.append(socket.create_connection(listener.getsockname()))
        ends.append(listener.accept()[0])
    return ends


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
