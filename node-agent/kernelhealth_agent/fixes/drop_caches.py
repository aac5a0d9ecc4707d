"""DropCaches: inodes, names and what hangs on them are let go of: vm.drop_caches, fs/drop_caches.c.

Written is 2: the caches of the kernel's own objects that can be reclaimed, and with an inode that
nobody uses the pages of its file. What removed control groups are charged for is mostly those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kernelhealth_agent import errors
from kernelhealth_agent.fix import Aim, Deed, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds.sysctls import SetSysctl
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation

_SYSCTL, _DIRECTORY, _OBJECTS = "vm.drop_caches", "proc/sys/vm", 2
_STATS = ("sys/fs/cgroup/cgroup.stat", "sys/fs/cgroup/unified/cgroup.stat")
_VMSTAT = "proc/vmstat"
_DYING = re.compile(rb"^nr_dying_descendants (\d{1,18})$", re.MULTILINE)
_DROPPED = re.compile(rb"^drop_slab (\d{1,18})$", re.MULTILINE)
_UNIFIED = "cgroup2"


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield the caches, once for all findings."""
    for observation in list(observations)[:1]:
        yield Aim(_SYSCTL, "the caches of inodes and names", observation)


def objection(host: Host, aim: Aim) -> str:
    """Return that the kernel has no such switch, or that it became better by itself."""
    if "drop_caches" not in host.names(_DIRECTORY):
        return f"this kernel has no {_SYSCTL}"
    return "fewer groups are dying by now than were found" if _are_fewer(host, aim) else ""


def deeds(host: Host, aim: Aim) -> Iterator[Deed]:  # noqa: ARG001 - It is the same for all.
    """Yield the one write."""
    yield SetSysctl(_SYSCTL, _OBJECTS, None)


def achieved(host: Host, aim: Aim) -> bool:
    """Whether fewer groups are dying than were found, where they are counted.

    Where they are not (cgroup v1), whether such caches were dropped at all since the boot.
    """
    are_fewer = _are_fewer(host, aim)
    if are_fewer is not None:
        return are_fewer
    match = _DROPPED.search(host.read(_VMSTAT))
    return match is not None and int(match[1]) > 0


def _are_fewer(host: Host, aim: Aim) -> bool | None:
    """Whether fewer groups are dying than were found; None where they are not counted."""
    measure = aim.observation.measure
    if aim.observation.subject.rule != _UNIFIED or measure is None:
        return None
    dying = _dying(host)
    return None if dying is None else dying < measure.value


def _dying(host: Host) -> int | None:
    for path in _STATS:
        try:
            match = _DYING.search(host.read(path, 4096))
        except errors.AbsentError:
            continue
        if match is not None:
            return int(match[1])
    return None


FIX = Fix(
    name="DropCaches",
    stage=Stage.RECLAIM,
    aims=aims,
    objection=objection,
    deeds=deeds,
    achieved=achieved,
)
