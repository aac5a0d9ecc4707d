"""Limits of the whole kernel, of a user or of a pod, and how near they are.

Processes: every thread has a number below ``kernel.pid_max`` and counts against
``kernel.threads-max`` (kernel/fork.c: copy_process); /proc/loadavg tells how many there are. Files:
/proc/sys/fs/file-nr (fs/file_table.c).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kernelhealth_agent import errors
from kernelhealth_agent.kernel.inotify import User
from kernelhealth_agent.kernel.pod_pids import PodPids
from kernelhealth_agent.kernel.recent_growth import Marks
from kernelhealth_agent.kernel.tenants import Tenant

_THREADS = re.compile(rb"\S+ \S+ \S+ \d{1,9}/(\d{1,9}) \d{1,10}\s*")


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a limit is used; *sysctl* sets it."""

    used: int
    limit: int
    sysctl: str


@dataclass(frozen=True, slots=True)
class InotifyLimits:
    """How many inotify instances and watches each user may have."""

    instances: int
    watches: int


@dataclass(frozen=True, slots=True)
class Sample:
    """All limits that this kernel tells of.

    *users* are those with inotify instances, as of the uptime *asked* in seconds; None where nobody
    could tell. *top* names the processes that they speak of.
    """

    threads: Usage | None
    files: Usage | None
    pods: tuple[PodPids, ...]
    inotify: InotifyLimits | None
    users: tuple[User, ...] | None
    top: Mapping[int, Tenant]
    asked: float | None
    blind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """What the next look has to know: forks refused by group, and the inotify users as of then."""

    marks: Mapping[str, Marks] = field(default_factory=dict)
    users: tuple[User, ...] | None = None
    asked: float | None = None


def threads(loadavg: bytes, path: str) -> int:
    """Return how many threads there are, of all processes; ``UnreadableError`` for no such line."""
    match = _THREADS.fullmatch(loadavg)
    if match is None:
        raise errors.UnreadableError(path, "it is not as 0.00 0.00 0.00 1/94 27593", 1)
    return int(match[1])


def remember(sample: Sample) -> Memory:
    """Return what the next look has to know."""
    return Memory({pod.path: pod.marks for pod in sample.pods}, sample.users, sample.asked)
