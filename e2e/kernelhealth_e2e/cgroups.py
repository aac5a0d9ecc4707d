"""The control groups that a node's pods live in: one directory of ours in every hierarchy."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from kernelhealth_e2e.errors import HarnessError

MOUNTS = Path("/sys/fs/cgroup")
_DISSOLVE_SECONDS = 30.0


def hierarchies(mounts: Path = MOUNTS) -> tuple[Path, ...]:
    """Return the mounted hierarchies: one for cgroup v2, one per controller for v1."""
    if (mounts / "cgroup.controllers").exists():
        return (mounts,)
    found = {entry.resolve() for entry in mounts.iterdir() if (entry / "cgroup.procs").exists()}
    return tuple(sorted(found))


def create(name: str, mounts: Path = MOUNTS) -> None:
    """Make a group of that name at the root of every hierarchy (the kubelet insists on it)."""
    for hierarchy in hierarchies(mounts):
        (hierarchy / name).mkdir(exist_ok=True)


def kill(name: str, mounts: Path = MOUNTS) -> None:
    """Kill what still runs in the group or below: pods whose node has lost its process 1."""
    for hierarchy in hierarchies(mounts):
        for listing in (hierarchy / name).rglob("cgroup.procs"):
            for pid in _pids(listing):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def remove(name: str, mounts: Path = MOUNTS) -> None:
    """Remove the group and all below it; their processes must have been killed already.

    A killed process leaves its group a moment after its parent has seen it go, and nothing tells
    when, so a busy group is tried again for a while.
    """
    deadline = time.monotonic() + _DISSOLVE_SECONDS
    for hierarchy in hierarchies(mounts):
        top = hierarchy / name
        while not _removed(top):
            if time.monotonic() > deadline:
                raise HarnessError(
                    f"control group {top} is still in use; see {top}/**/cgroup.procs, "
                    "end those processes and remove it with rmdir"
                )
            time.sleep(0.05)


def _pids(listing: Path) -> tuple[int, ...]:
    try:
        # 0 stands for a process that this PID namespace does not show.
        return tuple(pid for word in listing.read_text().split() if (pid := int(word)))
    except OSError:
        return ()


def _removed(top: Path) -> bool:
    for directory, _, _ in os.walk(top, topdown=False):
        try:
            Path(directory).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
