"""Reads how much is used of the limits on processes, open files and inotify."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.inotify import InotifyInstances
from kernelhealth_agent.hosts.pod_pids import PodPids as PodPidsProbe
from kernelhealth_agent.kernel import (
    cgroup_hierarchies,
    inotify,
    limits,
    pod_pids,
    sysctl,
    tenants,
)
from kernelhealth_agent.kernel.inotify import User
from kernelhealth_agent.kernel.limits import InotifyLimits, Memory, Sample, Usage
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace
from kernelhealth_agent.kernel.pod_pids import PodPids
from kernelhealth_agent.kernel.tenants import Tenant
from kernelhealth_agent.source import Occasion, Source

_LOADAVG, _MOUNTS, _FILES = "proc/loadavg", "proc/1/mountinfo", "proc/sys/fs/file-nr"
_PID_LIMITS = ("kernel.pid_max", "kernel.threads-max")
_INOTIFY = ("fs.inotify.max_user_instances", "fs.inotify.max_user_watches")
_SELDOM, _OFTEN, _NEAR = 1620.0, 270.0, 0.8
"""Seconds for which the answer of all processes is good, and where a user has so much of a limit:
it may stay so for months, and costs up to a second of a processor each time."""


def collect(host: Host, occasion: Occasion[Memory]) -> Sample:
    """Read a few files, a few more for each pod, and now and then the descriptors of everybody.

    Raises ``AbsentError`` where the host tells of none of the limits.
    """
    memory, blind = occasion.memory or Memory(), list[str]()
    threads, files, most = _threads(host), _files(host), _inotify(host)
    if threads is None and files is None and most is None:
        raise errors.AbsentError(_LOADAVG)
    users, asked = memory.users, memory.asked
    if most is not None and _is_due(memory, most, occasion.moment.uptime):
        users, asked = _users(host, blind), occasion.moment.uptime
    return Sample(
        threads=threads,
        files=files,
        pods=_pods(host, occasion, memory, blind),
        inotify=most,
        users=users,
        top=_top(host, occasion.inventory, users or (), most),
        asked=asked,
        blind=tuple(blind),
    )


def _threads(host: Host) -> Usage | None:
    """Return the number of threads against the lower of the two limits."""
    found: list[tuple[int, str]] = []
    with contextlib.suppress(errors.AbsentError):
        used = limits.threads(host.read(_LOADAVG, 256), _LOADAVG)
        for name in _PID_LIMITS:
            with contextlib.suppress(errors.AbsentError):
                found.append((_setting(host, name), name))
        return Usage(used, *min(found)) if found else None
    return None


def _files(host: Host) -> Usage | None:
    with contextlib.suppress(errors.AbsentError):
        used, _, most = sysctl.numbers(host.read(_FILES, 256), 3, _FILES)
        return Usage(used, most, "fs.file-max")
    return None


def _inotify(host: Host) -> InotifyLimits | None:
    with contextlib.suppress(errors.AbsentError):
        return InotifyLimits(*(_setting(host, name) for name in _INOTIFY))
    return None


def _setting(host: Host, name: str) -> int:
    path = f"proc/sys/{name.replace('.', '/')}"
    return sysctl.number(host.read(path, 64), path)


def _is_due(memory: Memory, most: InotifyLimits, uptime: float) -> bool:
    """Whether all processes are to be asked again: seldom, but often where it is getting tight."""
    if memory.asked is None or not 0 <= uptime - memory.asked < _SELDOM:
        return True
    return uptime - memory.asked >= _OFTEN and any(
        user.instances >= _NEAR * most.instances or user.watches >= _NEAR * most.watches
        for user in memory.users or ()
    )


def _users(host: Host, blind: list[str]) -> tuple[User, ...] | None:
    probe = InotifyInstances()
    try:
        users, whole = inotify.users(host.probe(probe), probe.name)
    except errors.AbsentError:
        return None
    except errors.HostError as error:
        blind.append(str(error))
        return None
    if not whole:
        blind.append(
            "the descriptors of some processes could not be read: users may have more"
            " inotify instances than were counted"
        )
    return users


def _top(
    host: Host, inventory: Inventory, users: tuple[User, ...], most: InotifyLimits | None
) -> Mapping[int, Tenant]:
    """Return who the processes are that have most, of users with much of a limit."""
    found: dict[int, Tenant] = {}
    for user in users:
        if most is None or (
            user.instances < most.instances / 2 and user.watches < most.watches / 2
        ):
            continue
        for pid in (user.most_instances.pid, user.most_watches.pid):
            with contextlib.suppress(errors.HostError):
                comm, cgroup = host.read(f"proc/{pid}/comm", 64), host.read(f"proc/{pid}/cgroup")
                found[pid] = tenants.tenant(pid, comm, cgroup, inventory)
    return found


def _pods(
    host: Host, occasion: Occasion[Memory], memory: Memory, blind: list[str]
) -> tuple[PodPids, ...]:
    """Return the pods with a limit on processes, and each group of all pods if it has one."""
    pods, uptime, found = occasion.inventory.pods, occasion.moment.uptime, list[PodPids]()
    for group in _pods_groups(host, occasion.inventory):
        probe = PodPidsProbe(group)
        try:
            found += pod_pids.pods(host.probe(probe), probe.name, pods, memory.marks, uptime)
        except errors.AbsentError:
            continue
        except errors.HostError as error:
            blind.append(str(error))
    return tuple(found)


def _pods_groups(host: Host, inventory: Inventory) -> list[str]:
    """Return the directories of the groups of all pods in the hierarchy that counts processes.

    A node has one; there are more where another kubelet has left pods, or runs beside.
    """
    with contextlib.suppress(errors.AbsentError):
        mounts = cgroup_hierarchies.mounts(host.read(_MOUNTS, 16 << 20))
        points = [m.point for m in mounts if "pids" in m.controllers]
        points += [m.point for m in mounts if not m.controllers]
        if points:
            groups = {
                group: None for space in _pods_spaces(inventory) for group in _group(host, space)
            }
            return [f"{points[0]}{group}".strip("/") for group in groups]
    return []


def _pods_spaces(inventory: Inventory) -> Iterator[Namespace]:
    return (space for space in inventory.namespaces.values() if space.pod is not None)


def _group(host: Host, space: Namespace) -> Iterator[str]:
    """Yield the group of all pods that the first process of a namespace is in."""
    for pid in space.pids[:1]:
        with contextlib.suppress(errors.HostError):
            group = pod_pids.group(host.read(f"proc/{pid}/cgroup"))
            if group is not None:
                yield group


SOURCE = Source(
    name="limits",
    sample=Sample,
    reads=(
        *(_LOADAVG, _FILES, _MOUNTS),
        *(f"proc/sys/{name.replace('.', '/')}" for name in (*_PID_LIMITS, *_INOTIFY)),
        *("probe inotify", "probe pod-pids", "proc/*/cgroup", "proc/*/comm"),
    ),
    collect=collect,
    period=60.0,
    memory=Memory,
    remember=limits.remember,
)
