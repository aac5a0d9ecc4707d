"""Tables of connection tracking: net/netfilter/nf_conntrack_core.c.

Each network namespace has a table of its own and counts its own entries, but all are measured
against one limit, ``net.netfilter.nf_conntrack_max`` (__nf_conntrack_alloc). Beyond it the kernel
evicts a connection that saw no answer (``early_drop``), and where it finds none it drops the
packet of the new one (``drop``, which also counts packets that were dropped for other reasons).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.kernel.processor_counters import Counters
from kernelhealth_agent.kernel.recent_growth import Marks

_COUNTED = ("drop", "early_drop", "insert_failed")


@dataclass(frozen=True, slots=True)
class Losses:
    """How often a table lost something: packets, connections that were evicted, and clashes."""

    drop: int
    early_drop: int
    insert_failed: int


NOTHING = Losses(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Table:
    """One table; *recent* is what it lost in the last minutes, as *marks* allow to tell.

    Where a table is far from full its losses are not read, and there are no marks.
    """

    space: Namespace
    is_host: bool
    entries: int
    recent: Losses = NOTHING
    marks: Marks | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The tables of all reachable namespaces; a *maximum* of 0 is no limit."""

    tables: tuple[Table, ...]
    maximum: int
    blind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """The marks of each namespace at the last look, by inode number."""

    marks: Mapping[int, Marks] = field(default_factory=dict)


def lost(counters: Counters) -> tuple[int, ...]:
    """Return the counters of what a table lost; one that this kernel lacks counts nothing."""
    return tuple(counters.totals.get(name, 0) for name in _COUNTED)


def remember(sample: Sample) -> Memory:
    """Return what the next look has to know."""
    return Memory({t.space.inode: t.marks for t in sample.tables if t.marks is not None})
