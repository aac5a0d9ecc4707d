"""Counts mounts: all that exist, those that mount namespaces show, and namespaces without owner."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from heapq import nlargest

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.mount_namespaces import MountNamespaceHolders, MountNamespaces
from kernelhealth_agent.kernel import (
    growth_forecast,
    history,
    meminfo,
    mount_cache,
    mount_namespaces,
    mount_table,
    rt6_stats,
    slab_aliases,
    sysctl,
    tenants,
)
from kernelhealth_agent.kernel.history import History
from kernelhealth_agent.kernel.mount_cache import Objects
from kernelhealth_agent.kernel.mount_namespaces import (
    UNEXPLAINED,
    Listed,
    Orphan,
    Sample,
    Space,
)
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.kernel.tenants import Tenant
from kernelhealth_agent.source import Occasion, Source

_LONGEST, _FULLEST = 16 << 20, 5
_MAXIMUM, _MEMINFO = "proc/sys/fs/mount-max", "proc/meminfo"
_POSSIBLE, _SLABINFO = "sys/devices/system/cpu/possible", "proc/slabinfo"
_SLAB = f"sys/kernel/slab/{mount_cache.NAME}"


_Shown = tuple[Mapping[int, int], int]
"""How many mounts each mount namespace shows, and how many layers their overlays have."""


def collect(host: Host, occasion: Occasion[History]) -> Sample:
    """Ask the kernel how many mounts each namespace has, or read the tables where it cannot tell.

    Raises ``AbsentError`` where not even the host's mount table is there.
    """
    inventory, blind = occasion.inventory, list[str]()
    listed = _listed(host, blind)
    seers = mount_namespaces.seers((task.mntns, task.pid) for task in host.tasks())
    mounts, layers = _read(host, seers, blind) if listed is None else _counted(host, listed)
    objects, maximum = _objects(host), _optional(host, _MAXIMUM, sysctl.number)
    unexplained, past = None, occasion.memory or History()
    if objects is not None and not blind:
        unexplained = max(0, objects.at_least - sum(mounts.values()) - layers)
        past = history.appended(past, {UNEXPLAINED: unexplained}, occasion.moment)
    return Sample(
        taken=occasion.moment.wall,
        namespaces=len(mounts),
        visible=sum(mounts.values()),
        layers=layers,
        objects=objects,
        unexplained=unexplained,
        maximum=maximum,
        fullest=tuple(
            Space(inode, number, _who(host, inventory, seers.get(inode, ())))
            for inode, number in nlargest(_FULLEST, mounts.items(), key=lambda item: item[1])
        ),
        orphans=None if listed is None else _orphans(host, inventory, listed, seers),
        available=_optional(host, _MEMINFO, meminfo.available),
        history=past,
        growth=growth_forecast.growth(past, UNEXPLAINED),
        blind=tuple(blind),
    )


def _listed(host: Host, blind: list[str]) -> tuple[Listed, ...] | None:
    """Return the mount namespaces that the kernel lists; None where it cannot."""
    probe = MountNamespaces()
    try:
        return mount_namespaces.listed(host.probe(probe), probe.name)
    except errors.AbsentError:
        return None
    except errors.ForbiddenError as error:
        blind.append(str(error))
        return None


def _counted(host: Host, listed: Iterable[Listed]) -> _Shown:
    """Take the kernel's count; the containers' overlays are in the host's mount table too."""
    layers = mount_table.overlay_layers(host.read("proc/1/mountinfo", _LONGEST))
    return {space.inode: space.mounts for space in listed}, sum(layers.values())


def _read(host: Host, seers: Mapping[int, Iterable[int]], blind: list[str]) -> _Shown:
    """Read one mount table of each namespace of which a process is known."""
    mounts: dict[int, int] = {}
    layers: dict[bytes, int] = {}
    for inode, pids in seers.items():
        try:
            table = _table(host, pids)
        except errors.ForbiddenError as error:
            blind.append(str(error))
            continue
        layers.update(mount_table.overlay_layers(table))
        if inode and table:
            mounts[inode] = mount_table.mounts(table)
    if not mounts and not blind:
        raise errors.AbsentError("proc/*/mountinfo")
    return mounts, sum(layers.values())


def _table(host: Host, pids: Iterable[int]) -> bytes:
    """Return the mount table of the first of the processes that has one."""
    for pid in pids:
        # Of a process that ended, and whose parent did not ask yet, it is an invalid argument.
        with contextlib.suppress(errors.AbsentError, errors.UnreadableError):
            return host.read(f"proc/{pid}/mountinfo", _LONGEST)
    return b""


def _objects(host: Host) -> Objects | None:
    """Return what the slab allocator says; None where it says nothing about mounts."""
    with contextlib.suppress(errors.AbsentError):
        processors = rt6_stats.processors(host.read(_POSSIBLE), _POSSIBLE)
        with contextlib.suppress(errors.AbsentError):
            files = {name: host.read(f"{_SLAB}/{name}", 4096) for name in mount_cache.FILES}
            with contextlib.suppress(errors.AbsentError):
                files[mount_cache.SHEAF] = host.read(f"{_SLAB}/{mount_cache.SHEAF}", 4096)
            merged = slab_aliases.merged(mount_cache.NAME, host.links("sys/kernel/slab"))
            return mount_cache.objects(files, processors, merged, _SLAB)
        return mount_cache.listed(host.read(_SLABINFO), processors, _SLABINFO)
    return None


def _optional(host: Host, path: str, decode: Callable[[bytes, str], int]) -> int | None:
    try:
        return decode(host.read(path), path)
    except errors.AbsentError:
        return None


def _orphans(
    host: Host, inventory: Inventory, listed: Iterable[Listed], seers: Mapping[int, list[int]]
) -> tuple[Orphan, ...] | None:
    """Return the namespaces without a process; None where some process may be in any of them."""
    lost = [space for space in listed if space.inode not in seers]
    if not lost:
        return ()
    first, mounted = set[int | None](), set[int]()
    for inode, pids in seers.items():
        if inode:  # One at a time: all tables together may be larger than the agent.
            table = _table(host, pids)
            first.add(mount_table.first_mount(table))
            mounted.update(mount_table.mounted_namespaces(table))
    if any(mount_table.first_mount(_table(host, [p])) not in first for p in seers.get(0, ())):
        return None
    probe = MountNamespaceHolders(tuple(space.inode for space in lost))
    held, whole = mount_namespaces.holdings(host.probe(probe), probe.name)
    return tuple(
        Orphan(
            space.number,
            space.inode,
            space.mounts,
            None if holder is None else _who(host, inventory, [holder.pid]),
            None if holder is None else holder.descriptor,
        )
        for space, holder in mount_namespaces.orphans(lost, held, mounted, whole=whole)
    )


def _who(host: Host, inventory: Inventory, pids: Iterable[int]) -> Tenant | None:
    """Return the first of the processes that is still there."""
    for pid in pids:
        with contextlib.suppress(errors.AbsentError):
            comm, cgroup = host.read(f"proc/{pid}/comm", 64), host.read(f"proc/{pid}/cgroup")
            return tenants.tenant(pid, comm, cgroup, inventory)
    return None


SOURCE = Source(
    name="mounts",
    sample=Sample,
    reads=(
        *("probe mount-namespaces", "probe mount-namespace-holders"),
        *("proc/*/mountinfo", "proc/*/comm", "proc/*/cgroup"),
        *(f"{_SLAB}/*", _SLABINFO, _MEMINFO, _MAXIMUM, _POSSIBLE),
    ),
    collect=collect,
    period=300.0,
    memory=History,
    remember=lambda sample: sample.history,
)
