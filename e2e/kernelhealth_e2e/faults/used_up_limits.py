"""Limits that are used up: a user's inotify instances, and the processes of a pod."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from kernelhealth_e2e import cgroups
from kernelhealth_e2e.faults.control_groups import dissolve

_IN_CREATE = 0x100
_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000


@contextlib.contextmanager
def inotify_instances(
    uid: int | None, instances: int, watches: int = 1, sharers: int = 0
) -> Iterator[int]:
    """Let a process of a user have so many instances, with so many watches each; yields its id.

    *sharers* are children with the same open files. None is nobody, in a user namespace that the
    caller made.
    """
    ready, done = os.pipe()
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        for index in range(watches):
            (Path(place) / str(index)).mkdir()
        pid = os.fork()
        if pid == 0:
            _be_watcher(uid, instances, place, watches, sharers, done)
        os.close(done)
        try:
            if os.read(ready, 1) != b"+":
                raise OSError(f"user {uid} may not have {instances} inotify instances")
            yield pid
        finally:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            # Sharers are nobody's children any more: the end of the pipe tells that of theirs.
            while os.read(ready, 1):
                pass
            os.close(ready)


def _be_watcher(  # noqa: PLR0913, PLR0917 - What a process is told that begins anew.
    uid: int | None, instances: int, place: str, watches: int, sharers: int, ready: int
) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    os.setpgid(0, 0)
    if uid is None:
        libc.unshare(_CLONE_NEWUSER)
    else:
        os.setuid(uid)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    made = [libc.inotify_init1(os.O_CLOEXEC) for _ in range(instances)]
    for descriptor in made:
        for index in range(watches):
            libc.inotify_add_watch(descriptor, f"{place}/{index}".encode(), _IN_CREATE)
    # Files are closed in order when a process ends: this one has to be the last.
    last = os.dup(ready)
    os.close(ready)
    for _ in range(sharers):
        if os.fork() == 0:
            break
    else:
        os.write(last, b"-" if -1 in made else b"+")
    while True:
        select.select([], [], [])


@contextlib.contextmanager
def limited_pod(uid: str, maximum: int) -> Iterator[Path]:
    """Make the groups of a pod that may have so many processes; yields that of its container."""
    top = _pids_hierarchy() / f"kernelhealth-{uuid.uuid4()}"
    pod = top / "kubepods" / "burstable" / f"pod{uid}"
    container = pod / ("c" * 64)
    container.mkdir(parents=True)
    try:
        for group in (top, pod.parent.parent, pod.parent, pod) if _is_unified() else ():
            (group / "cgroup.subtree_control").write_text("+pids")
        (pod / "pids.max").write_text(str(maximum))
        yield container
    finally:
        for group in (container, pod, pod.parent, pod.parent.parent, top):
            dissolve(group)


def refused_forks(group: Path, processes: int) -> int:
    """Start so many processes in a group at once, and return how many of them were refused."""
    pid = os.fork()
    if pid == 0:
        (group / "cgroup.procs").write_text(str(os.getpid()))
        os._exit(_refusals(processes))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _refusals(processes: int) -> int:
    children, refused = [], 0
    for _ in range(processes):
        try:
            child = os.fork()
        except BlockingIOError:
            refused += 1
            continue
        if child == 0:
            select.select([], [], [])
        children.append(child)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return refused


def _pids_hierarchy() -> Path:
    return cgroups.MOUNTS if _is_unified() else cgroups.MOUNTS / "pids"


def _is_unified() -> bool:
    return not (cgroups.MOUNTS / "pids").exists()


def main() -> None:
    """Use up inotify instances of a user until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="used_up_limits", description=__doc__, epilog="example: used_up_limits 65001 120"
    )
    parser.add_argument("uid", type=int)
    parser.add_argument("instances", type=int)
    arguments = parser.parse_args()
    with inotify_instances(arguments.uid, arguments.instances):
        print("made", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
