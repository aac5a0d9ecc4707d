"""Mount namespaces and their mounts: fs/nsfs.c, fs/namespace.c.

The ioctls NS_MNT_GET_INFO and NS_MNT_GET_NEXT (Linux 6.12) walk all mount namespaces of the
kernel, those without any process too, and tell how many mounts each has: the number that is held
against ``fs.mount-max``.

A tmpfs lives on with a namespace that nobody is in. Its memory alone is no evidence of one: Shmem
of /proc/meminfo also counts memory that processes share and files of memfd_create(2).
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kernelhealth_agent import errors
from kernelhealth_agent.kernel.growth_forecast import Growth
from kernelhealth_agent.kernel.history import History
from kernelhealth_agent.kernel.mount_cache import Objects
from kernelhealth_agent.kernel.tenants import Tenant

_SEERS = 4
UNEXPLAINED = "unexplained"
"""The name of the number of mounts that nothing shows, in a history."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A mount namespace as the kernel lists it; no other ever has the same *number*."""

    number: int
    inode: int
    mounts: int


@dataclass(frozen=True, slots=True)
class Holding:
    """A process that holds a namespace: by descriptor, or None for a thread that is inside."""

    inode: int
    pid: int
    descriptor: int | None


@dataclass(frozen=True, slots=True)
class Space:
    """A mount namespace with many mounts, and one of its processes."""

    inode: int
    mounts: int
    who: Tenant | None


@dataclass(frozen=True, slots=True)
class Orphan:
    """A mount namespace without a process: *who* holds it open by *descriptor*, or nobody does."""

    number: int
    inode: int
    mounts: int
    who: Tenant | None
    descriptor: int | None


@dataclass(frozen=True, slots=True)
class Sample:
    """The mounts of a host at the time *taken*.

    *objects* are all mounts there are, as far as the kernel tells; *visible* those that mount
    namespaces show, *layers* those of overlays, which nothing shows, *unexplained* what is left of
    them, or None where it cannot be told. *fullest* are some namespaces with most mounts, of
    *maximum* that each may have. *orphans* is None where nobody can tell. *available* is
    the memory in bytes that mounts may still take.
    """

    taken: datetime
    namespaces: int
    visible: int
    layers: int
    objects: Objects | None
    unexplained: int | None
    maximum: int | None
    fullest: tuple[Space, ...]
    orphans: tuple[Orphan, ...] | None
    available: int | None
    history: History
    growth: Growth | None
    blind: tuple[str, ...] = ()


def listed(answer: bytes, path: str) -> tuple[Listed, ...]:
    """Decode a list of [number, inode number, mounts]; ``UnreadableError`` for anything else."""
    rows = _loaded(answer, path)
    if not isinstance(rows, list) or not all(_is_numbers(row, 3) for row in rows):
        raise errors.UnreadableError(path, "it is no list of three numbers each")
    return tuple(Listed(*row) for row in rows)


def holdings(answer: bytes, path: str) -> tuple[tuple[Holding, ...], bool]:
    """Decode who holds namespaces, and whether everybody was asked.

    The answer is ``{"whole": true, "holders": [[inode, pid, descriptor or -1], …]}``; raises
    ``UnreadableError`` for anything else.
    """
    said = _loaded(answer, path)
    rows = said.get("holders") if isinstance(said, Mapping) else None
    if not isinstance(rows, list) or not all(_is_numbers(row, 3) for row in rows):
        raise errors.UnreadableError(path, "'holders' is no list of three numbers each")
    found = (Holding(inode, pid, None if fd < 0 else fd) for inode, pid, fd in rows)
    return tuple(found), said.get("whole") is True


def seers(tasks: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    """Return the first processes of each mount namespace, of (namespace, process) of all.

    0 is for the processes of which the namespace is not known; all of them are kept.
    """
    found: dict[int, list[int]] = {}
    for inode, pid in sorted(tasks):
        pids = found.setdefault(inode, [])
        if len(pids) < _SEERS or not inode:
            pids.append(pid)
    return found


def orphans(
    spaces: Iterable[Listed], held: Iterable[Holding], mounted: Container[int], *, whole: bool
) -> Iterator[tuple[Listed, Holding | None]]:
    """Yield the namespaces that no process is in, with who holds them.

    One whose file is mounted is kept on purpose, and has a path. Without *whole* it cannot be said
    of any that nobody holds it.
    """
    by_inode: dict[int, Holding] = {}
    for holding in held:
        if by_inode.setdefault(holding.inode, holding).descriptor is not None:
            by_inode[holding.inode] = holding
    for space in spaces:
        holder = by_inode.get(space.inode)
        if space.inode in mounted or (holder is not None and holder.descriptor is None):
            continue
        if holder is not None or whole:
            yield space, holder


def _loaded(answer: bytes, path: str) -> Any:
    try:
        return json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadableError(path, f"it is no JSON: {error}") from error


def _is_numbers(row: Any, length: int) -> bool:
    return (
        isinstance(row, list)
        and len(row) == length
        and all(type(number) is int and -1 <= number < 1 << 63 for number in row)
    )
