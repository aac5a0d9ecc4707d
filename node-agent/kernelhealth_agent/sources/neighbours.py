"""Reads how full the kernel's neighbour tables are, and of a full one who fills it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import neighbours, processor_counters, recent_growth, sysctl
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace
from kernelhealth_agent.kernel.neighbours import Crowd, Memory, Population, Sample, Table
from kernelhealth_agent.source import Occasion, Source

_PLACE = "proc/1/net/stat"
_KINDS = {
    neighbours.INET: ("IPv4", "arp_cache", "net.ipv4.neigh.default.gc_thresh3"),
    neighbours.INET6: ("IPv6", "ndisc_cache", "net.ipv6.neigh.default.gc_thresh3"),
}
_CROWDS_KEPT = 3


def collect(host: Host, occasion: Occasion[Memory]) -> Sample:
    """Read two files; the namespaces are asked only where a table is half full.

    Raises ``AbsentError`` where the kernel tells of neither table.
    """
    memory = occasion.memory or Memory()
    tables = {}
    for family, kind in _KINDS.items():
        with contextlib.suppress(errors.AbsentError):
            tables[family] = _table(host, kind, memory, occasion.moment.uptime)
    if not tables:
        raise errors.AbsentError(f"{_PLACE}/arp_cache")
    blind: list[str] = []
    if any(table.entries * 2 >= table.limit for table in tables.values()):
        found = _populations(host, occasion.inventory, blind)
        tables = {
            family: dataclasses.replace(table, crowds=_crowds(found, family))
            for family, table in tables.items()
        }
    return Sample(tuple(tables.values()), tuple(blind))


def _table(host: Host, kind: tuple[str, str, str], memory: Memory, uptime: float) -> Table:
    protocol, file, name = kind
    path, limit = f"{_PLACE}/{file}", f"proc/sys/{name.replace('.', '/')}"
    counters = processor_counters.counters(host.read(path), path)
    past = memory.marks.get(protocol)
    refused = (counters.totals.get("table_fulls", 0),)
    return Table(
        protocol=protocol,
        sysctl=name,
        entries=counters.entries,
        limit=sysctl.number(host.read(limit, 64), limit),
        recent=recent_growth.growth(past, refused)[0],
        marks=recent_growth.marked(past, refused, uptime),
    )


_Found = tuple[Namespace, bool, dict[int, Population]]


def _populations(host: Host, inventory: Inventory, blind: list[str]) -> list[_Found]:
    """Return the neighbours of each reachable namespace; *blind* says of which it is not known."""
    name = f"netlink {neighbours.request().name}"
    found: list[_Found] = []
    for space in (inventory.host, *inventory.namespaces.values()):
        is_host = space is inventory.host
        file = None if is_host else space.file
        if file is None and not is_host:
            continue
        try:
            answer = host.dump(neighbours.request(), file)
            found.append((space, is_host, neighbours.populations(answer, name)))
        except errors.AbsentError:
            continue
        except errors.HostError as error:
            blind.append(str(error))
    return found


def _crowds(found: Iterable[_Found], family: int) -> tuple[Crowd, ...]:
    """Return who has neighbours in a table; the exempt ones of all count, three are named."""
    crowds = [
        Crowd(space, is_host, populations[family])
        for space, is_host, populations in found
        if populations[family].total
    ]
    crowds.sort(key=lambda crowd: (-crowd.population.total, crowd.space.inode))
    return tuple(
        crowd
        for number, crowd in enumerate(crowds)
        if number < _CROWDS_KEPT or crowd.population.exempt
    )


SOURCE = Source(
    name="neighbours",
    sample=Sample,
    reads=(
        *(f"{_PLACE}/{file}" for _, file, _ in _KINDS.values()),
        *(f"proc/sys/{name.replace('.', '/')}" for *_, name in _KINDS.values()),
        "netlink neighbours",
    ),
    collect=collect,
    period=60.0,
    memory=Memory,
    remember=neighbours.remember,
)
