"""Reads where gssproxy has the kernel hold network namespaces, and where it is about to."""

from __future__ import annotations

import contextlib
import dataclasses
import zlib
from collections.abc import Iterable

from kernelhealth_agent import errors, gssproxy_clients, gssproxy_files, rpc_transports
from kernelhealth_agent.hosts import Folder, Host
from kernelhealth_agent.kernel import cgroups, gssproxy, naming
from kernelhealth_agent.kernel.gssproxy import Memory, Sample, Seen, Setting
from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.source import Occasion, Source

_STATE = "net/rpc/use-gss-proxy"
_WHOLE_EVERY, _SETTLED = 54.0, 10.0
"""Seconds: a file of any container may change, which a round each minute shall see; a process that
is younger may be on its way into its container."""


def collect(host: Host, occasion: Occasion[Memory]) -> Sample:
    """Look into new namespaces, once a minute into all, and at the transports."""
    inventory, spaces = occasion.inventory, occasion.inventory.namespaces
    own = _state(host, inventory.host)
    blind: list[str] = []
    host_folder = gssproxy_files.folder(host, "", blind)
    memory = _looked(host, occasion, host_folder, loaded=own is not None)
    if occasion.memory is not None and memory.loaded:
        memory = dataclasses.replace(memory, lost=gssproxy.lost(occasion.memory, inventory))
    own_line = next(gssproxy_files.lines(host_folder), None)
    transports = rpc_transports.to_gssproxy(host)
    states = {inode: seen.state for inode, seen in memory.spaces.items() if memory.loaded}
    # A namespace whose state nobody can read may account for a transport as well.
    holders = sum(state is None or state == gssproxy.USED for state in (own, *states.values()))
    used = tuple(spaces[inode] for inode in spaces if states.get(inode) == gssproxy.USED)
    readers = used if own_line is not None else ()
    pins, unnamed = gssproxy_clients.pins(transports, inventory, memory, holders)
    return Sample(
        loaded=memory.loaded,
        used=used,
        settings=tuple(
            dataclasses.replace(found, space=spaces[inode])
            for inode, seen in memory.spaces.items()
            for found in seen.settings
        ),
        own=None if own_line is None else f"/{gssproxy_files.FOLDER}/{own_line[0]}:{own_line[1]}",
        pins=pins,
        unnamed=unnamed,
        blind=(*blind, *(why for seen in memory.spaces.values() for why in seen.blind)),
        memory=memory,
        shared=frozenset(each.inode for each in readers if _reads(host, each, host_folder)),
    )


def _reads(host: Host, space: Namespace, host_folder: Folder | None) -> bool:
    """Whether processes of a namespace have the host's own folder in the place of theirs."""
    for pid in _mount_namespaces(host, space.pids).values():
        folder = gssproxy_files.folder(host, f"proc/{pid}/root", [])
        if folder is not None and host_folder and folder.identity == host_folder.identity:
            return True
    return False


def _looked(
    host: Host, occasion: Occasion[Memory], host_folder: Folder | None, *, loaded: bool
) -> Memory:
    """Return what is in each namespace; that of familiar ones is of the last minute."""
    inventory, uptime = occasion.inventory, occasion.moment.uptime
    past = None if inventory.thorough else occasion.memory
    if past is not None and (past.loaded != loaded or not 0 <= uptime - past.whole < _WHOLE_EVERY):
        past = None
    spaces: dict[int, Seen] = {}
    for inode, space in inventory.namespaces.items():
        known = past.spaces.get(inode) if past is not None else None
        if known is not None and _stands(known, space, uptime):
            spaces[inode] = known
    mounts = {name for seen in spaces.values() for name in seen.mntns}
    mounts.update(_mount_namespaces(host, inventory.host.pids[:1]))
    identity = host_folder.identity if host_folder is not None else None
    before = occasion.memory.spaces if occasion.memory is not None else {}
    for inode, space in inventory.namespaces.items():
        if inode not in spaces:
            first = _first(before.get(inode), space, uptime)
            state = _state(host, space) if loaded else None
            if state is None and loaded:
                state = _recalled(before.get(inode), space)
            spaces[inode] = _seen(host, space, mounts, identity, Seen(*first, state, (), (), ()))
    ordered = {inode: spaces[inode] for inode in inventory.namespaces}
    return Memory(uptime if past is None else past.whole, loaded, ordered)


def _checksum(space: Namespace) -> int:
    return zlib.crc32(repr(space.pids).encode())


def _first(known: Seen | None, space: Namespace, uptime: float) -> tuple[int, float]:
    """Return the checksum of the processes, and when those were seen first."""
    processes = _checksum(space)
    same = known is not None and known.processes == processes
    return processes, known.first if known is not None and same else uptime


def _stands(known: Seen, space: Namespace, uptime: float) -> bool:
    """Whether nothing new is expected in a namespace; a container takes a moment to begin."""
    return known.processes == _checksum(space) and uptime - known.first >= _SETTLED


def _recalled(known: Seen | None, space: Namespace) -> int | None:
    """Return the state that a pod's namespace had before its last process ended: a 1 stays."""
    same = space.pod is not None and space.pod.known_by == "memory"
    return known.state if known is not None and same else None


def _state(host: Host, space: Namespace) -> int | None:
    """Return the state of a namespace; None without the module, or where no process is inside."""
    for pid in space.pids:
        path = f"proc/{pid}/{_STATE}"
        # A process that just ended has no proc/PID/net; the next may still be there.
        with contextlib.suppress(errors.AbsentError):
            return gssproxy.state(host.read(path, 64), path)
    return None


def _seen(
    host: Host,
    space: Namespace,
    mounts: set[str],
    identity: tuple[int, int] | None,
    seen: Seen,
) -> Seen:
    """Return what is configured in mount namespaces that were not looked into for another one.

    What turns out to be the host's own folder counts where a pod was given it; every service of the
    host with a namespace of its own has it, and hardly any runs gssproxy.
    """
    blind: list[str] = []
    found: list[Setting] = []
    every = _mount_namespaces(host, space.pids)
    new = {mntns: pid for mntns, pid in every.items() if mntns not in mounts}
    mounts.update(new)
    for mntns, pid in new.items():
        folder = gssproxy_files.folder(host, f"proc/{pid}/root", blind)
        of_host = folder is not None and folder.identity == identity
        if not of_host or space.pod is not None:
            found += [
                dataclasses.replace(_setting(host, space, (mntns, pid), *line), of_host=of_host)
                for line in gssproxy_files.lines(folder)
            ]
    # What is remembered goes into a file: of the namespace its number is enough.
    kept = tuple(dataclasses.replace(each, space=Namespace(space.inode)) for each in found)
    return dataclasses.replace(seen, mntns=tuple(new), settings=kept, blind=tuple(blind))


def _mount_namespaces(host: Host, pids: Iterable[int]) -> dict[str, int]:
    """Return one process for each mount namespace, the first; ``ForbiddenError`` says why not."""
    found: dict[str, int] = {}
    for pid in pids:
        with contextlib.suppress(errors.AbsentError):
            found.setdefault(host.link(f"proc/{pid}/ns/mnt"), pid)
    return found


def _setting(host: Host, space: Namespace, where: tuple[str, int], name: str, line: int) -> Setting:
    """Return a setting with the process and the container in whose root directory it was found."""
    mntns, pid = where
    process, container = f"[{pid}]", space.sandbox
    with contextlib.suppress(errors.HostError):
        comm = host.read(f"proc/{pid}/comm", 64).decode(errors="replace").strip()
        process = naming.short(comm) + process
        pod = cgroups.pod(host.read(f"proc/{pid}/cgroup"))
        container = (pod[1] if pod is not None else None) or container
    return Setting(space, mntns, pid, process, container, f"/{gssproxy_files.FOLDER}/{name}", line)


SOURCE = Source(
    name="gssproxy",
    sample=Sample,
    reads=(
        f"proc/*/{_STATE}",
        f"proc/*/root/{gssproxy_files.FOLDER}/*{gssproxy_files.SUFFIX}",
        f"{gssproxy_files.FOLDER}/*{gssproxy_files.SUFFIX}",
        f"{rpc_transports.PLACE}/*/info",
    ),
    collect=collect,
    memory=Memory,
    remember=lambda sample: sample.memory,
)
