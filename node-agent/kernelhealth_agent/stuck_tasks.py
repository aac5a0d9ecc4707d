"""Reads who destroys network namespaces, and who waits for that: kernel workers and tasks in D.

A look at every process is dear, so that it is for suspicions only. Kernel threads are few, and one
file names them all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import cgroups, task_files, teardown_workers
from kernelhealth_agent.kernel.lifecycle import Blocked
from kernelhealth_agent.kernel.namespaces import Pod
from kernelhealth_agent.kernel.task_files import Task
from kernelhealth_agent.kernel.teardown_workers import CREATORS, WRITERS, Spell, Worker

READS = ("proc/2/task/2/children", "proc/*/comm", "proc/*/stat", "proc/*/wchan", "proc/*/stack")
_KTHREADD = "proc/2"
_THREADED = (b"containerd", b"dockerd", b"crio", b"podman", b"kubelet", b"runc", b"multus")
_MOST_BLOCKED = 64
_READINGS = 32
_STAT, _SMALL = 1024, 1 << 14


def workers(host: Host, past: Iterable[Spell], uptime: float) -> tuple[Worker, ...] | None:
    """Return the workers that destroy namespaces; None where no kernel thread is in sight."""
    threads = _kernel_threads(host)
    if threads is None:
        return None
    spells = {spell.pid: spell for spell in past}
    found = []
    for pid in threads:
        with contextlib.suppress(errors.AbsentError):
            if host.read(f"proc/{pid}/comm", 256).rstrip().endswith(teardown_workers.BUSY.encode()):
                task = _detailed(host, f"proc/{pid}")
                found.append(teardown_workers.worker(task, spells, uptime))
    return tuple(found)


def blocked(host: Host, pods: Mapping[str, Pod]) -> tuple[Blocked, ...]:
    """Return the tasks in D that make namespaces or load network modules, 64 at the most."""
    found = []
    for place in _sleepers(host):
        with contextlib.suppress(errors.HostError):
            task = _detailed(host, place)
            if task.functions & (CREATORS | WRITERS):
                found.append(Blocked(task, _pod(host, place, pods)))
        if len(found) == _MOST_BLOCKED:
            break
    return tuple(found)


def _kernel_threads(host: Host) -> list[str] | None:
    try:
        if host.read(f"{_KTHREADD}/comm", 64).strip() != b"kthreadd":
            return None
    except errors.AbsentError:
        return None
    try:
        return _numbers(host.read(f"{_KTHREADD}/task/2/children").decode(errors="replace").split())
    except errors.AbsentError:  # CONFIG_PROC_CHILDREN is not set: each process has to be asked.
        return _numbers(host.names("proc"))


def _numbers(words: Iterable[str]) -> list[str]:
    return [word for word in words if word.isdecimal()]


def _sleepers(host: Host) -> Iterator[str]:
    """Yield the directory of each task in D: all processes, and the threads of runtimes."""
    for pid in _numbers(host.names("proc")):
        place = f"proc/{pid}"
        with contextlib.suppress(errors.HostError):
            stat = host.read(f"{place}/stat", _STAT)
            if task_files.state(stat) == "D":
                yield place
            elif stat[stat.find(b"(") + 1 :].startswith(_THREADED):
                yield from _sleeping_threads(host, place)


def _sleeping_threads(host: Host, place: str) -> Iterator[str]:
    for thread in _numbers(host.names(f"{place}/task")):
        where = f"{place}/task/{thread}"
        with contextlib.suppress(errors.HostError):
            if task_files.state(host.read(f"{where}/stat", _STAT)) == "D":
                yield where


def _detailed(host: Host, place: str) -> Task:
    """Return a task with its stack; of one that runs, the longest of several readings."""
    path = f"{place}/stat"
    found = task_files.task(host.read(path, _STAT), path, _small(host, f"{place}/wchan"))
    readings = _READINGS if found.state == "R" else 1
    stacks = (task_files.frames(_small(host, f"{place}/stack")) for _ in range(readings))
    return task_files.with_stack(found, max(stacks, key=len))


def _small(host: Host, path: str) -> bytes:
    """Return a file that adds to a finding; nothing where it cannot be read."""
    try:
        return host.read(path, _SMALL)
    except errors.HostError:
        return b""


def _pod(host: Host, place: str, pods: Mapping[str, Pod]) -> Pod | None:
    with contextlib.suppress(errors.HostError):
        found = cgroups.pod(host.read(f"{place}/cgroup"))
        if found is not None:
            return pods.get(found[0], Pod("", "", found[0], "cgroup"))
    return None
