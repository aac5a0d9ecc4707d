"""What pods do on the node of the scenario wedge, where only Python is; each step is told as JSON.

One stands for the kernel's own fault: it inserts the lab's module and arms it. The others are
tenants: one builds in network namespaces of its own, and one sets up a service of the host.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_NEWNET = 0x40000000
_FINIT_MODULE = 313  # x86-64, arch/x86/entry/syscalls/syscall_64.tbl
_MODULE = Path("/sys/module/wedge")
_TICKS = os.sysconf("SC_CLK_TCK")
_SERVICE = "vpn"
_LIBC = ctypes.CDLL(None, use_errno=True)


def main(argv: list[str]) -> None:
    """Do one of the deeds below, each to its end; some have none."""
    deed, *arguments = argv
    deeds: dict[str, Callable[..., None]] = {
        "insert": insert, "hold": hold, "build": build, "serve": serve,
    }  # fmt: skip
    deeds[deed](*arguments)


def insert(file: str) -> None:
    """Insert a module, finit_module(2)."""
    descriptor = os.open(file, os.O_RDONLY)
    _checked(_LIBC.syscall(_FINIT_MODULE, descriptor, b"", 0), file)
    tell("inserted")


def hold(file: str, how: str, early: str) -> None:
    """Insert the module and arm it; tell of the worker that has not let go for some seconds."""
    if not _MODULE.exists():
        insert(file)
    (_MODULE / "parameters/early").write_text(early, "ascii")
    (_MODULE / "parameters/hold").write_text(how, "ascii")
    tell("armed", modules=_modules())
    seconds, interval = 5.0, 0.5
    looks: list[int] = []
    while len(looks) < seconds / interval:
        worker = _worker()
        looks = [*looks, worker] if worker and {*looks} <= {worker} else []
        time.sleep(interval)  # No event tells which of the kernel's threads does what.
    begun, (_, before) = time.monotonic(), _stat(looks[0])
    time.sleep(seconds)  # A share of a processor is one of a time that has passed.
    state, after = _stat(looks[0])
    stack = functions(_lines(f"/proc/{looks[0]}/stack"))
    tell("held", state=state, share=(after - before) / (time.monotonic() - begun), stack=stack)


def build() -> None:
    """Build without an end, each step in a network namespace of its own."""
    for step in itertools.count(1):
        _checked(_LIBC.unshare(_NEWNET), "unshare")
        tell("built", step=step)
        time.sleep(5)  # A step takes its time, in which it does nothing that matters here.


def serve() -> None:
    """Let the host's systemd run a service that loads a module, and that is never to be killed."""
    os.chroot("/proc/1/root")
    os.chdir("/")
    # Nothing of what a machine usually starts has been started on this one, nor shall it be.
    properties = ("DefaultDependencies=no", "Conflicts=shutdown.target", "Before=shutdown.target")
    patient = (f"--property={one}" for one in (*properties, "TimeoutStopSec=infinity"))
    subprocess.run(
        ("systemd-run", f"--unit={_SERVICE}", *patient, "modprobe", "ip_vti"), check=True
    )
    tell("served")


def tell(event: str, **more: object) -> None:
    """Print what has happened, as one line."""
    print(json.dumps({"event": event, **more}), flush=True)


def _worker() -> int:
    """Return the kernel's thread that destroys network namespaces now, 0 for none."""
    found = (int(pid) for pid, comm in _threads() if comm.endswith("+netns"))
    return next(found, 0)


def _threads() -> Iterator[tuple[str, str]]:
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield place.name, (place / "comm").read_text("utf-8").strip()


def _modules() -> list[str]:
    return [line.split()[0] for line in _lines("/proc/modules")]


def fields(stat: str) -> tuple[str, float]:
    """Return state and seconds of a processor from proc(5), stat; the name may have anything."""
    state, *numbers = stat.rpartition(")")[2].split()
    return state, (int(numbers[10]) + int(numbers[11])) / _TICKS


def functions(stack: list[str]) -> list[str]:
    """Return the functions that proc(5), stack, has, innermost first."""
    return [line.partition("] ")[2].partition("+")[0] for line in stack]


def _stat(pid: int) -> tuple[str, float]:
    return fields(Path(f"/proc/{pid}/stat").read_text("utf-8"))


def _lines(path: str) -> list[str]:
    return Path(path).read_text("utf-8").splitlines()


def _checked(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(sys.argv[1:])
