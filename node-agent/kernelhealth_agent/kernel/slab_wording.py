"""Growing kernel memory in words: what grows, since when, how fast, whom it follows, what helps."""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_agent.kernel.growth import Forecast, Growth
from kernelhealth_agent.kernel.kmemleak import Site
from kernelhealth_agent.kernel.slab_caches import Cache

_NAMED = 4
_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def size(amount: float) -> str:
    """Return bytes with two or three figures: ``42 MiB``, ``1.5 GiB``."""
    for unit, name in _UNITS:
        if amount >= unit:
            number = amount / unit
            return f"{number:.0f} {name}" if number >= 10 else f"{number:.1f} {name}"
    return f"{amount:.0f} bytes"


def named(cache: Cache, *, merging: bool) -> str:
    """Return a cache with all its names, none of which is to blame for bearing the first."""
    if not merging:
        return f"Slab cache {cache.name} (this kernel does not tell which others share it)"
    if len(cache.names) < 2:
        return f"Slab cache {cache.name}"
    others = cache.names[1:]
    listed = ", ".join(others[:_NAMED])
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return f"Slab cache {cache.name} (one with {listed}{more}: any of them may be what grows)"


@dataclass(frozen=True, slots=True)
class Leak:
    """A cache that leaks: *site* is whom kmemleak names, *stop* what stops it without a reboot."""

    cache: Cache
    grown: Growth
    end: Forecast
    merging: bool
    site: Site | None
    stop: str = ""

    @property
    def sentence(self) -> str:
        """What is wrong, since when, how fast, whom it follows, when it ends, what helps."""
        grown, cache = self.grown, self.cache
        whom = f", {grown.per:.1f} objects with each {grown.follows.title}" if grown.follows else ""
        return (
            f"{named(cache, merging=self.merging)} has grown from {grown.base} to {cache.objects}"
            f" objects ({size(cache.size)}) since {grown.onset:%d %B %H:%M} UTC and nothing in use"
            f" accounts for it: {_rate(grown)}{whom}{_blamed(self.site)}{_runs_out(self.end)};"
            f" {self.stop}plan a reboot{_before(self.end)}, unless ending what makes them frees it."
        )


def uncached(grown: Growth, unreclaimable: int, end: Forecast) -> str:
    """Return the sentence about slab memory that grows in no single cache."""
    whom = f", {size(grown.per)} with each {grown.follows.title}" if grown.follows else ""
    return (
        f"Kernel memory that cannot be reclaimed (SUnreclaim) has grown to {size(unreclaimable)}"
        f" since {grown.onset:%d %B %H:%M} UTC though no one slab cache did, as with allocations"
        f" above 8 KiB or many caches at once: {_rate(grown)}{whom}{_runs_out(end)};"
        f" look at /proc/slabinfo, and plan a reboot{_before(end)}."
    )


def unaccounted(grown: Growth, amount: int, end: Forecast) -> str:
    """Return the sentence about memory that no counter explains."""
    whom = f", {size(grown.per)} with each {grown.follows.title}" if grown.follows else ""
    return (
        f"Memory that no counter of the kernel explains has grown to {size(amount)} since"
        f" {grown.onset:%d %B %H:%M} UTC: {_rate(grown)}{whom}{_runs_out(end)};"
        " drivers and modules that allocate whole pages are to be suspected, and a reboot gives it"
        " back if unloading them does not."
    )


def reported(site: Site) -> str:
    """Return the sentence about a place that kmemleak names."""
    where = f"{site.function} of module {site.module}" if site.module else site.function
    return (
        f"kmemleak found {site.objects} object{'s' if site.objects > 1 else ''}"
        f" ({size(site.size)}) that nothing points to any more, allocated by {where}, the first"
        f" for {site.comm}[{site.pid}]; report it with the trace in /sys/kernel/debug/kmemleak to"
        " who makes this kernel: a reboot alone gives the memory back."
    )


def _rate(grown: Growth) -> str:
    minutes = max(1, round(grown.trend.span / 60))
    span = f"{round(minutes / 60)} h" if minutes >= 60 else f"{minutes} min"
    return f"{size(grown.per_hour)} an hour over the last {span}"


def _blamed(site: Site | None) -> str:
    if site is None:
        return ""
    module = f" of {site.module}" if site.module else ""
    return f", and kmemleak names {site.function}{module}"


def _runs_out(end: Forecast) -> str:
    if end.likely is None:
        return ""
    return f", and memory runs out about {end.likely:%d %B %H:%M} UTC"


def _before(end: Forecast) -> str:
    return "" if end.likely is None else " before then"
