"""Reads how full the connection tracking table of each network namespace is."""

from __future__ import annotations

import contextlib
import dataclasses

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import conntrack, processor_counters, recent_growth, sysctl
from kernelhealth_agent.kernel.conntrack import Losses, Memory, Sample, Table
from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.kernel.recent_growth import Marks
from kernelhealth_agent.source import Occasion, Source

_MAXIMUM = "proc/sys/net/netfilter/nf_conntrack_max"
_TABLE = "net/stat/nf_conntrack"
_FIRST_ROW = 1024
"""Bytes that hold the names and the first row, which is all it takes to count the entries."""


def collect(host: Host, occasion: Occasion[Memory]) -> Sample:
    """Read one file per namespace, and of those that are far from full only its beginning.

    Raises ``AbsentError`` where the kernel does no connection tracking; nothing that is read here
    makes it begin.
    """
    inventory = occasion.inventory
    memory = occasion.memory or Memory()
    maximum = sysctl.number(host.read(_MAXIMUM, 64), _MAXIMUM)
    blind: list[str] = []
    own, uptime = Table(inventory.host, is_host=True, entries=0), occasion.moment.uptime
    tables = [_read_whole(host, own, memory.marks.get(inventory.host.inode), uptime)]
    for space in inventory.namespaces.values():
        try:
            table = _table(host, space, maximum, memory.marks.get(space.inode), uptime)
        except (errors.ForbiddenError, errors.UnreadableError) as error:
            blind.append(str(error))
            continue
        if table is not None:
            tables.append(table)
    return Sample(tuple(tables), maximum, tuple(blind))


def _table(
    host: Host, space: Namespace, maximum: int, past: Marks | None, uptime: float
) -> Table | None:
    """Return the table of a namespace; None where no process is inside to look through."""
    for pid in space.pids:
        path = f"proc/{pid}/{_TABLE}"
        with contextlib.suppress(errors.AbsentError):
            begin = processor_counters.counters(host.read(path, _FIRST_ROW), path)
            table = Table(space, is_host=False, entries=begin.entries)
            if past is None and (not maximum or begin.entries * 2 < maximum):
                return table
            return _read_whole(host, table, past, uptime, pid)
    return None


def _read_whole(host: Host, table: Table, past: Marks | None, uptime: float, pid: int = 1) -> Table:
    path = f"proc/{pid}/{_TABLE}"
    counters = processor_counters.counters(host.read(path), path)
    lost = conntrack.lost(counters)
    return dataclasses.replace(
        table,
        entries=counters.entries,
        recent=Losses(*recent_growth.growth(past, lost)),
        marks=recent_growth.marked(past, lost, uptime),
    )


SOURCE = Source(
    name="conntrack",
    sample=Sample,
    reads=(f"proc/*/{_TABLE}", _MAXIMUM),
    collect=collect,
    period=60.0,
    memory=Memory,
    remember=conntrack.remember,
)
