"""Keeps a network namespace alive: by a socket (in flight), a descriptor, a mount or a process."""

from __future__ import annotations

import argparse
import array
import contextlib
import ctypes
import os
import pathlib
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

_CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MNT_DETACH = 2


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Let the calling thread be in the network namespace behind a file; nothing else keeps that."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        with descriptor(namespace) as away:
            _checked(_libc().setns(away, _CLONE_NEWNET), f"setns to {namespace}")
        try:
            yield
        finally:
            _checked(_libc().setns(home, _CLONE_NEWNET), "setns back")
    finally:
        os.close(home)


@contextlib.contextmanager
def socket_in(namespace: str) -> Iterator[socket.socket]:
    """Keep a namespace by an open socket of this process."""
    with inside(namespace):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with made:
        yield made


@contextlib.contextmanager
def socket_in_flight(namespace: str) -> Iterator[None]:
    """Keep a namespace by a socket that was sent and never received.

    It is in the queue of a unix socket only: no process, mount or descriptor shows it.
    """
    near, far = socket.socketpair()
    with near, far:
        with socket_in(namespace) as made:
            rights = array.array("i", [made.fileno()])
            near.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        yield


@contextlib.contextmanager
def descriptor(namespace: str) -> Iterator[int]:
    """Keep a namespace by an open descriptor of its file."""
    opened = os.open(namespace, os.O_RDONLY)
    try:
        yield opened
    finally:
        os.close(opened)


@contextlib.contextmanager
def mount(namespace: str, where: str = "") -> Iterator[None]:
    """Keep a namespace by a forgotten bind mount of its file."""
    target = pathlib.Path(where or f"/run/kernelhealth-fault-{os.getpid()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch()
    try:
        bound = _libc().mount(namespace.encode(), bytes(target), None, _MS_BIND, None)
        _checked(bound, f"mount of {namespace} at {target}")
        try:
            yield
        finally:
            _checked(_libc().umount2(bytes(target), _MNT_DETACH), f"umount of {target}")
    finally:
        target.unlink()


HOLDERS: dict[str, Callable[[str], AbstractContextManager[object]]] = {
    "in-flight": socket_in_flight,
    "socket": socket_in,
    "descriptor": descriptor,
    "mount": mount,
    "process": inside,
}


def main() -> None:
    """Hold the namespace of a process until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="held_namespace",
        description=__doc__,
        epilog="example: held_namespace in-flight 4711",
    )
    parser.add_argument("holder", choices=sorted(HOLDERS))
    parser.add_argument("pid", type=int, help="a process that is in the namespace")
    arguments = parser.parse_args()
    with HOLDERS[arguments.holder](f"/proc/{arguments.pid}/ns/net"):
        print("holding", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
