"""Mounts where nobody looks: detached, in a namespace without a process, or far too many in one."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from kernelhealth_e2e.faults.namespace import Sandbox, sandbox

_CLONE_NEWNS = 0x20000
_OPEN_TREE, _AT_FDCWD = 428, -100
_OPEN_TREE_CLONE, _AT_RECURSIVE = 1, 0x8000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000


@dataclass(frozen=True, slots=True)
class Kept:
    """A mount namespace without a process, and the descriptor that holds it."""

    inode: int
    descriptor: int


@contextlib.contextmanager
def detached_mounts(trees: int) -> Iterator[None]:
    """Hold copies of the whole tree of mounts, each by a descriptor, that are mounted nowhere.

    The kernel lists them for nobody, just as mounts that it lost count of.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    held: list[int] = []
    try:
        for _ in range(trees):
            flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
            held.append(_checked(libc.syscall(_OPEN_TREE, _AT_FDCWD, b"/", flags), "open_tree"))
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


@contextlib.contextmanager
def orphaned_namespace() -> Iterator[Kept]:
    """Hold a mount namespace open whose only process has ended."""
    with sandbox(_CLONE_NEWNS) as made:
        descriptor = os.open(f"/proc/{made.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield Kept(os.fstat(descriptor).st_ino, descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def full_namespace(mounts: int) -> Iterator[Sandbox]:
    """Keep a process in a mount namespace with so many mounts more than the caller's."""
    ready, done = os.pipe()
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        stack.callback(os.close, ready)
        pid = os.fork()
        if pid == 0:
            _be_full(place.encode(), mounts, done)
        os.close(done)
        made = Sandbox(pid, os.stat(f"/proc/{pid}/ns/net").st_ino, ready)  # noqa: PTH116
        stack.callback(made.stop)
        if os.read(ready, 1) != b"+":
            raise OSError("the process could not mount: root is needed")
        yield made


def _be_full(place: bytes, mounts: int, ready: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    failed = libc.unshare(_CLONE_NEWNS)
    failed = failed or libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None)
    for _ in range(mounts):
        failed = failed or libc.mount(place, place, None, _MS_BIND, None)
    os.write(ready, b"-" if failed else b"+")
    while True:
        select.select([], [], [])


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def main() -> None:
    """Make the mounts and keep them until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="many_mounts", description=__doc__, epilog="example: many_mounts detached 200"
    )
    parser.add_argument("kind", choices=("detached", "orphaned", "full"))
    parser.add_argument("number", type=int, nargs="?", default=100)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if arguments.kind == "detached":
            stack.enter_context(detached_mounts(arguments.number))
        elif arguments.kind == "full":
            stack.enter_context(full_namespace(arguments.number))
        else:
            for _ in range(arguments.number):
                stack.enter_context(orphaned_namespace())
        print("made", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
