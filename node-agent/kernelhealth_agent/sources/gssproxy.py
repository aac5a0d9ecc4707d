"""Reads where gssproxy has the kernel hold network namespaces, and where it is about to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from kernelhealth_agent import errors, rpc_transports
from kernelhealth_agent.hosts import Folder, Host
from kernelhealth_agent.kernel import cgroups, gssproxy, naming
from kernelhealth_agent.kernel.gssproxy import Pin, Sample, Setting
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace
from kernelhealth_agent.kernel.rpc_xprt import Transport
from kernelhealth_agent.source import Occasion, Source

_STATE = "net/rpc/use-gss-proxy"
_FOLDER, _SUFFIX = "etc/gssproxy", ".conf"


def collect(host: Host, occasion: Occasion[None]) -> Sample:
    """Look into each namespace once, into each root directory once, and at the transports."""
    inventory = occasion.inventory
    own = _state(host, inventory.host)
    states = _states(host, inventory) if own is not None else {}
    blind: list[str] = []
    host_folder = _folder(host, "", blind)
    settings = _settings(host, inventory, host_folder, blind)
    own_line = next(_lines(host_folder), None)
    transports = rpc_transports.to_gssproxy(host)
    # A namespace whose state nobody can read may account for a transport as well.
    holders = sum(state is None or state == gssproxy.USED for state in (own, *states.values()))
    return Sample(
        loaded=own is not None,
        used=tuple(
            space
            for inode, space in inventory.namespaces.items()
            if states.get(inode) == gssproxy.USED
        ),
        settings=settings,
        own=None if own_line is None else f"/{_FOLDER}/{own_line[0]}:{own_line[1]}",
        pins=None if transports is None else _pins(transports, inventory),
        unnamed=None if transports is None else _unnamed(transports, holders),
        blind=tuple(blind),
    )


def _states(host: Host, inventory: Inventory) -> dict[int, int | None]:
    return {inode: _state(host, space) for inode, space in inventory.namespaces.items()}


def _state(host: Host, space: Namespace) -> int | None:
    """Return the state of a namespace; None without the module, or where no process is inside."""
    for pid in space.pids:
        path = f"proc/{pid}/{_STATE}"
        # A process that just ended has no proc/PID/net; the next may still be there.
        with contextlib.suppress(errors.AbsentError):
            return gssproxy.state(host.read(path, 64), path)
    return None


def _settings(
    host: Host, inventory: Inventory, host_folder: Folder | None, blind: list[str]
) -> tuple[Setting, ...]:
    """Return the settings of containers; what turns out to be the host's own folder is none."""
    identity = host_folder.identity if host_folder is not None else None
    seen = set(_mount_namespaces(host, inventory.host.pids[:1]))
    found: list[Setting] = []
    for space in inventory.namespaces.values():
        for mntns, pid in _mount_namespaces(host, space.pids).items():
            if mntns in seen:
                continue
            seen.add(mntns)
            folder = _folder(host, f"proc/{pid}/root", blind)
            if folder is not None and folder.identity != identity:
                found += [
                    _setting(host, space, (mntns, pid), name, line) for name, line in _lines(folder)
                ]
    return tuple(found)


def _mount_namespaces(host: Host, pids: Iterable[int]) -> dict[str, int]:
    """Return one process for each mount namespace, the first; ``ForbiddenError`` says why not."""
    found: dict[str, int] = {}
    for pid in pids:
        with contextlib.suppress(errors.AbsentError):
            found.setdefault(host.link(f"proc/{pid}/ns/mnt"), pid)
    return found


def _folder(host: Host, root: str, blind: list[str]) -> Folder | None:
    """Return the configuration below a root directory, which no container can make us fail."""
    try:
        folder = host.folder(root, _FOLDER, _SUFFIX)
    except errors.AbsentError:
        return None
    except (errors.ForbiddenError, errors.UnreadableError) as error:
        blind.append(str(error))
        return None
    blind += [f"{root}/{omitted}" for omitted in folder.omitted]
    return folder


def _lines(folder: Folder | None) -> Iterator[tuple[str, int]]:
    for name, content in sorted(folder.files.items()) if folder is not None else ():
        line = gssproxy.kernel_nfsd(content)
        if line is not None:
            yield name, line


def _setting(host: Host, space: Namespace, where: tuple[str, int], name: str, line: int) -> Setting:
    """Return a setting with the process and the container in whose root directory it was found."""
    mntns, pid = where
    process, container = f"[{pid}]", space.sandbox
    with contextlib.suppress(errors.HostError):
        comm = host.read(f"proc/{pid}/comm", 64).decode(errors="replace").strip()
        process = naming.short(comm) + process
        pod = cgroups.pod(host.read(f"proc/{pid}/cgroup"))
        container = (pod[1] if pod is not None else None) or container
    return Setting(space, mntns, pid, process, container, f"/{_FOLDER}/{name}", line)


def _pins(transports: Iterable[Transport], inventory: Inventory) -> tuple[Pin, ...]:
    reached = {inventory.host.inode, *inventory.namespaces}
    inodes = {t.netns for t in transports if t.netns is not None} - reached
    return tuple(Pin(inode, inventory.memory.get(inode)) for inode in sorted(inodes))


def _unnamed(transports: Iterable[Transport], holders: int) -> int:
    """Return how many transports more there are than namespaces that can explain them."""
    anonymous = sum(transport.netns is None for transport in transports)
    return max(0, anonymous - holders) if anonymous else 0


SOURCE = Source(
    name="gssproxy",
    sample=Sample,
    reads=(
        f"proc/*/{_STATE}",
        f"proc/*/root/{_FOLDER}/*{_SUFFIX}",
        f"{_FOLDER}/*{_SUFFIX}",
        f"{rpc_transports.PLACE}/*/info",
    ),
    collect=collect,
)
