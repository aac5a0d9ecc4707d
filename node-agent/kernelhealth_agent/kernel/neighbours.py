"""Neighbour tables: net/core/neighbour.c, include/uapi/linux/neighbour.h.

There is one table for ARP and one for neighbour discovery, and all network namespaces share them:
``entries`` counts all, and so does what is held against ``gc_thresh3`` (neigh_alloc). Entries that
are permanent or that a control plane learned are exempt from the limit (Linux 5.0, 58956317c8de).
When nothing can be evicted any more a new neighbour is refused, which ``table_fulls`` counts.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import netlink
from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.kernel.netlink import Request
from kernelhealth_agent.kernel.recent_growth import Marks

_ROUTE, _NEWNEIGH, _GETNEIGH = 0, 28, 30
_HEADER = struct.Struct("=BBHiHBB")
_PERMANENT, _EXT_LEARNED = 0x80, 0x10
INET, INET6 = 2, 10


@dataclass(frozen=True, slots=True)
class Population:
    """How many neighbours of one protocol a namespace has, and how many of them are exempt."""

    total: int = 0
    exempt: int = 0


@dataclass(frozen=True, slots=True)
class Crowd:
    """The neighbours that one namespace has in a table."""

    space: Namespace
    is_host: bool
    population: Population


@dataclass(frozen=True, slots=True)
class Table:
    """One table: *limit* is gc_thresh3, *sysctl* its name.

    *recent* is how many neighbours it refused in the last minutes, as *marks* allow to tell; 0
    where the kernel does not count them (Linux < 4.3). *crowds* says of a table that is half full
    who fills it, the largest first.
    """

    protocol: str
    sysctl: str
    entries: int
    limit: int
    recent: int
    marks: Marks
    crowds: tuple[Crowd, ...] = ()

    @property
    def held(self) -> int:
        """The entries that are held against the limit, as far as is known."""
        return max(0, self.entries - sum(crowd.population.exempt for crowd in self.crowds))


@dataclass(frozen=True, slots=True)
class Sample:
    """The tables that the kernel has."""

    tables: tuple[Table, ...]
    blind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """The marks of each table at the last look, by protocol."""

    marks: Mapping[str, Marks] = field(default_factory=dict)


def request() -> Request:
    """Ask for all neighbours, of both protocols."""
    return Request("neighbours", _ROUTE, _GETNEIGH, _HEADER.pack(0, 0, 0, 0, 0, 0, 0))


def populations(stream: bytes, path: str) -> dict[int, Population]:
    """Decode an answer to ``request``: neighbours by address family.

    Raises ``UnreadableError`` for a message that is too short.
    """
    totals: dict[int, int] = {INET: 0, INET6: 0}
    exempt = dict(totals)
    for kind, body in netlink.messages(stream, path):
        if kind != _NEWNEIGH:
            continue
        if len(body) < _HEADER.size:
            raise errors.UnreadableError(path, f"a neighbour message of {len(body)} bytes")
        family, _, _, _, state, flags, _ = _HEADER.unpack_from(body)
        if family in totals:
            totals[family] += 1
            exempt[family] += bool(state & _PERMANENT or flags & _EXT_LEARNED)
    return {family: Population(totals[family], exempt[family]) for family in totals}


def remember(sample: Sample) -> Memory:
    """Return what the next look has to know."""
    return Memory({table.protocol: table.marks for table in sample.tables})
