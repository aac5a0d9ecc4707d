"""Reads what kernel memory is used for, and how that has changed since the boot or for a day.

A dozen small files a look, whatever runs on the node. Which caches are reclaimable is asked once.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import (
    kmemleak,
    meminfo,
    populations,
    rt6_stats,
    slab_aliases,
    slab_caches,
    slabinfo,
)
from kernelhealth_agent.kernel.history import History, appended
from kernelhealth_agent.kernel.kmemleak import Site
from kernelhealth_agent.kernel.populations import Count
from kernelhealth_agent.kernel.route_growth import Growths, unexplained
from kernelhealth_agent.kernel.slab_caches import Cache, Memories, Sample
from kernelhealth_agent.kernel.slabinfo import Row
from kernelhealth_agent.source import Occasion, Source

_SLABINFO, _MEMINFO, _ROUTES = "proc/slabinfo", "proc/meminfo", "proc/1/net/rt6_stats"
_CGROUPS, _MOUNTS = "proc/cgroups", "proc/1/mountinfo"
_SLAB, _KMEMLEAK = "sys/kernel/slab", "sys/kernel/debug/kmemleak"
_SMALL = 256 << 10  # Bytes below which nobody misses a cache.
_MOST_CACHES = 128
_PERIOD = 60.0
_PAGES = operator.attrgetter("all_pages")
_COUNTS = (*populations.ALIVE, *populations.EVER, populations.COMPRESSED)

T = TypeVar("T")


def collect(host: Host, occasion: Occasion[Memories]) -> Sample:
    """Read the counts once; ``HostError`` without /proc/meminfo, or a slabinfo that is withheld."""
    past = occasion.memory or Memories()
    blind: list[str] = []
    rows: tuple[Row, ...] = ()
    with contextlib.suppress(errors.AbsentError):
        rows = slabinfo.rows(host.read(_SLABINFO), _SLABINFO)
    page = slabinfo.page_size(rows)
    compressed = _asked(lambda: _count(host, populations.COMPRESSED), []) or 0
    memory = meminfo.memory(host.read(_MEMINFO), _MEMINFO, compressed * page)
    links = _asked(lambda: host.links(_SLAB), blind)
    caches = _caches(host, rows, page, links, past.flags)
    seen = occasion.inventory
    known = [space.cookie for space in (seen.host, *seen.namespaces.values()) if space.cookie]
    cookies = populations.births(past.cookies, known)
    readings = {
        **{cache.row: cache.objects for cache in caches},
        slab_caches.UNRECLAIMABLE: memory.unreclaimable,
        slab_caches.UNACCOUNTED: memory.unaccounted,
        **{slab_caches.living_row(name): n for name, n in _living(host, occasion, blind)},
        **{slab_caches.living_row("kept"): r.objects for r in rows if r.name == "net_namespace"},
        **{slab_caches.made_row(name): n for name, n in _made(host, occasion, cookies, blind)},
    }
    return Sample(
        wall=occasion.moment.wall,
        memory=memory,
        caches=caches,
        history=appended(past.history, readings, occasion.moment),
        merging=links is not None,
        sites=_sites(host, blind),
        flags={cache.name: cache.reclaimable for cache in caches},
        cookies=cookies,
        blind=tuple(blind),
    )


def _caches(
    host: Host,
    rows: Iterable[Row],
    page: int,
    links: Mapping[str, str] | None,
    flags: Mapping[str, bool],
) -> tuple[Cache, ...]:
    """Return the caches that are large enough to matter; of one name the larger."""
    groups = slab_aliases.groups(links or {})
    sized = {row.name: row for row in sorted(rows, key=_PAGES) if row.all_pages * page >= _SMALL}
    largest = sorted(sized.values(), key=_PAGES, reverse=True)[:_MOST_CACHES]
    return tuple(
        Cache(
            name=row.name,
            names=(row.name, *groups.get(row.name, ())),
            objects=row.objects,
            object_size=row.object_size,
            each=row.pages * page / row.per_slab,
            size=row.all_pages * page,
            reclaimable=flags[row.name] if row.name in flags else _is_reclaimable(host, row.name),
        )
        for row in largest
    )


def _is_reclaimable(host: Host, name: str) -> bool:
    if "/" not in name and ".." not in name:
        with contextlib.suppress(errors.HostError):
            return host.read(f"{_SLAB}/{name}/reclaim_account", 16).strip() == b"1"
    return slab_caches.is_reclaimable_by_name(name)


def _living(
    host: Host, occasion: Occasion[Memories], blind: list[str]
) -> Iterator[tuple[str, int]]:
    """Yield how many there are of what lives in the kernel."""
    seen = occasion.inventory
    yield "namespaces", len(seen.namespaces)
    yield "interfaces", len(seen.links)
    for count in populations.ALIVE:
        yield from _counted(host, count, blind)
    lost = unexplained(occasion.memory_of("suppress_prefix", Growths), but=seen.host.inode)
    others: tuple[tuple[str, str, Callable[[bytes, str], int]], ...] = (
        ("cgroups", _CGROUPS, populations.cgroups),
        ("mounts", _MOUNTS, lambda content, _: content.count(b"\n")),
        ("routes6", _ROUTES, lambda *of: lost + rt6_stats.route_objects(of[0], 1, of[1]).total),
    )
    for name, path, decoded in others:
        number = _asked(functools.partial(_decoded, host, path, decoded), blind)
        if number is not None:
            yield name, number


def _made(
    host: Host, occasion: Occasion[Memories], cookies: Mapping[int, int], blind: list[str]
) -> Iterator[tuple[str, int]]:
    """Yield how many there ever were of what comes and goes."""
    past = occasion.memory.history if occasion.memory is not None else History()
    highest = past.level(slab_caches.made_row("interfaces")) or 0
    yield "namespaces", sum(cookies.values())
    # The kernel numbers the links of a namespace in turn, and does not go back for those deleted.
    yield "interfaces", max([highest, *(link.index for link in occasion.inventory.links)])
    for count in populations.EVER:
        yield from _counted(host, count, blind)


def _counted(host: Host, count: Count, blind: list[str]) -> Iterator[tuple[str, int]]:
    """Yield a count with its name, unless there is no such file."""
    number = _asked(lambda: _count(host, count), blind)
    if number is not None:
        yield count.name, number


def _count(host: Host, count: Count) -> int:
    return count.value(host.read(count.path))


def _decoded(host: Host, path: str, decoded: Callable[[bytes, str], int]) -> int:
    return decoded(host.read(path), path)


def _sites(host: Host, blind: list[str]) -> tuple[Site, ...] | None:
    """Return what kmemleak found; None where the kernel has none, or it is switched off."""
    try:
        content = host.read(_KMEMLEAK)
    except errors.HostError:
        return None
    return _asked(lambda: kmemleak.sites(content, _KMEMLEAK), blind)


def _asked(question: Callable[[], T], blind: list[str]) -> T | None:
    """Return an answer; None where there is none, which is said of what is there all the same."""
    try:
        return question()
    except errors.AbsentError:
        return None
    except errors.HostError as error:
        blind.append(str(error))
        return None


SOURCE = Source(
    name="slab",
    sample=Sample,
    reads=(
        _SLABINFO,
        f"{_SLAB}, and reclaim_account in it",
        _MEMINFO,
        *sorted({count.path for count in _COUNTS} - {_MEMINFO}),
        _CGROUPS,
        _MOUNTS,
        _ROUTES,
        _KMEMLEAK,
    ),
    collect=collect,
    period=_PERIOD,
    memory=Memories,
    remember=lambda sample: Memories(sample.history, sample.flags, sample.cookies),
)
