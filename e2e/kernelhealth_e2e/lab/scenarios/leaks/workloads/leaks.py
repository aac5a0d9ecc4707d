"""What pods do on the node of the scenario leaks: one is the kernel's fault, one builds software.

The fault *stays*, and is told by ``kubectl exec`` what to do next. Both run where only Python is.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_NEWNET = 0x40000000
_STEPS = (6, 2, 10, 3, 8)
"""How many steps the builds have, one after the other: as uneven as builds are."""
_PAUSE_SECONDS = 8.0
_FINIT_MODULE = 313  # x86-64, arch/x86/entry/syscalls/syscall_64.tbl
CACHE = "khleak"
"""The slab cache of the module."""
_PARAMETERS = Path("/sys/module/leak/parameters")
_PANIC_ON_OOPS = Path("/proc/sys/kernel/panic_on_oops")
_MOUNTED = Path("/mnt")
_LIBC = ctypes.CDLL(None, use_errno=True)


def main(argv: list[str]) -> None:
    """Do one of the deeds below."""
    deed, *arguments = argv
    if deed == "stay":
        signal.pause()
    elif deed == "build":
        build()
    elif deed == "insert":
        insert(*arguments)
    elif deed == "complain":
        complain_of_everything()
    else:
        raise SystemExit(f"no such deed: {deed}")


def build() -> None:
    """Build now and then, each step in a network namespace of its own, and tell of each build.

    The last step on each processor goes on until the next build.
    """
    left, namespaces = list[int](), 0
    begun = cache_objects()
    for number, steps in enumerate(itertools.cycle(_STEPS), start=1):
        for _ in range(steps):
            os.waitpid(_step(), 0)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        left = [_step(processor) for processor in sorted(os.sched_getaffinity(0))]
        namespaces += steps + len(left)
        objects = cache_objects()
        told = {
            "event": f"build {number}",
            "namespaces": namespaces,
            "caches": sorted(objects),
            "objects": sum(objects.values()) - sum(begun.values()),
            "uptime": float(Path("/proc/uptime").read_text("ascii").split()[0]),
        }
        print(json.dumps(told), flush=True)
        # A build comes when somebody has changed something: here it is time that has to pass.
        time.sleep(_PAUSE_SECONDS)


def cache_objects() -> dict[str, int]:
    """Return the objects of the module's cache, by the names that it has in /proc/slabinfo."""
    home = Path("/sys/kernel/slab")
    # A cache that was merged has a link for each of its names.
    where = (home / CACHE).resolve()
    names = {link.name for link in home.iterdir() if link.resolve() == where}
    rows = (line.split() for line in Path("/proc/slabinfo").read_text("ascii").splitlines())
    return {row[0]: int(row[1]) for row in rows if row[0] in names}


def _step(processor: int | None = None) -> int:
    """Start a step, which is over at once unless it is bound to a processor."""
    pid = os.fork()
    if not pid:
        if processor is not None:
            os.sched_setaffinity(0, {processor})
        failed = _LIBC.unshare(_NEWNET)
        while processor is not None and not failed:
            signal.pause()
        os._exit(1 if failed else 0)
    return pid


def insert(file: str, parameters: str = "") -> None:
    """Insert a module, finit_module(2)."""
    descriptor = os.open(file, os.O_RDONLY)
    _checked(_LIBC.syscall(_FINIT_MODULE, descriptor, parameters.encode(), 0), file)


def complain_of_everything() -> None:
    """Let the module (leak.c) make each complaint that it can make.

    The kubelet has told the kernel to panic at an oops. Here it goes on, as where somebody wants
    to look at it first.
    """
    _PANIC_ON_OOPS.write_text("0", "ascii")
    for kind in ("warning", "badpage", "oops"):
        _complain(kind, "please")
    with _filesystem("lost-dentry") as file:
        _complain("dentry", str(file))
    with _filesystem("lost-inode") as file:
        _complain("inode", str(file))
        file.unlink()


def _complain(kind: str, argument: str) -> None:
    (_PARAMETERS / kind).write_text(argument, "utf-8")


@contextlib.contextmanager
def _filesystem(name: str) -> Iterator[Path]:
    """Mount a filesystem with one file of that name, and unmount it again.

    By a process that may die of it: newer kernels end whoever unmounts what is in use.
    """
    what = (b"tmpfs", bytes(_MOUNTED), b"tmpfs", ctypes.c_ulong(0), None)
    _checked(_LIBC.mount(*what), f"mounting a tmpfs at {_MOUNTED}")
    file = _MOUNTED / name
    file.touch()
    yield file
    pid = os.fork()
    if not pid:
        os._exit(1 if _LIBC.umount2(bytes(_MOUNTED), 0) else 0)
    _, status = os.waitpid(pid, 0)
    if status and not os.WIFSIGNALED(status):
        raise SystemExit(f"{_MOUNTED} cannot be unmounted")


def _checked(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(sys.argv[1:])
