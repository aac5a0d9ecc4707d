"""Kernel memory that grows as a leak does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kernelhealth_agent.kernel import (
    growth,
    slab_caches,
    slab_causes,
    slab_limits,
    slab_wording,
)
from kernelhealth_agent.kernel.growth import Forecast, Growth, Limits, Row
from kernelhealth_agent.kernel.kmemleak import Site
from kernelhealth_agent.kernel.slab_caches import Cache, Sample
from kernelhealth_agent.kernel.slab_limits import SlabParams
from kernelhealth_agent.kernel.slab_wording import Leak
from kernelhealth_api.detector import (
    Detector,
    Measure,
    Observation,
    Reason,
    Severity,
    Signal,
    Subject,
)

_LARGEST = 10  # Caches with a time series of their own.
_KINDS = 8  # Of how many caches at once the memory of one thing may be.
_ROUTE_CURES = ("RemoveSuppressPrefixRule", "DisableIPv6RPFilter")
_STOPS = {slab_causes.ROUTE_OBJECTS: "remove the rule or the filter that makes them, and "}


LEAK = Reason(
    "SlabLeak",
    Severity.WARNING,
    "Kernel memory that cannot be reclaimed grows steadily, and nothing that lives in the kernel"
    " accounts for it.",
    confirm="confirm_after",
    forecast="critical_within",
)
UNACCOUNTED = Reason(
    "KernelMemoryUnaccounted",
    Severity.WARNING,
    "Memory that no counter of the kernel explains grows steadily: whole pages are lost.",
    confirm="confirm_after",
    forecast="critical_within",
)
REPORTED = Reason(
    "KmemleakReported",
    Severity.INFO,
    "The kernel's own leak detector found allocations that nothing points to any more.",
    confirm="confirm_after",
)


def judge(now: Sample, params: SlabParams) -> Iterator[Observation]:
    """Take each cache that leaks, what grows beside them, and what kmemleak names."""
    limits, available, caught = slab_limits.limits(params), now.memory.available, 0.0
    for cache in now.caches:
        if cache.reclaimable and not _is_short(now, params):
            continue
        found = growth.growth(now.history, Row(cache.row, cache.each), limits, available)
        if found is not None:
            caught += 0.0 if cache.reclaimable else found.trend.slope
            yield _leak(now, cache, found)
    rest = _total(now, slab_caches.UNRECLAIMABLE, limits)
    if rest is not None and caught < rest.trend.slope / 2:
        yield _uncached(now, rest)
    lost = _total(
        now, slab_caches.UNACCOUNTED, slab_limits.limits(params, params.unaccounted_bytes)
    )
    if lost is not None:
        yield _unaccounted(now, lost)
    for site in now.sites or ():
        yield _reported(now, site)


def _is_short(now: Sample, params: SlabParams) -> bool:
    return now.memory.reachable < params.pressure_percent / 100 * now.memory.total


def _total(now: Sample, row: str, limits: Limits) -> Growth | None:
    return growth.growth(now.history, Row(row, 1.0, _KINDS), limits, now.memory.available)


def _leak(now: Sample, cache: Cache, found: Growth) -> Observation:
    site = slab_causes.site_of(cache, now.sites or ())
    cause = slab_causes.of_cache(cache, found, now.history, site)
    end = growth.forecast(found.trend, now.memory.available, now.wall)
    leak = Leak(cache, found, end, now.merging, site, _STOPS.get(cause or "", ""))
    return Observation(
        LEAK,
        cache.name,
        Subject(holder=f"kernel (slab cache {', '.join(cache.names)})"),
        leak.sentence,
        cause,
        (*(_ROUTE_CURES if cause == slab_causes.ROUTE_OBJECTS else ()), "Reboot"),
        began=found.onset,
        measure=_measure(float(cache.size), found, end),
    )


def _uncached(now: Sample, found: Growth) -> Observation:
    end = growth.forecast(found.trend, now.memory.available, now.wall)
    return Observation(
        LEAK,
        "SUnreclaim",
        Subject(holder="kernel (SUnreclaim of /proc/meminfo)"),
        slab_wording.uncached(found, now.memory.unreclaimable, end),
        None,
        ("Reboot",),
        began=found.onset,
        measure=_measure(float(now.memory.unreclaimable), found, end),
    )


def _unaccounted(now: Sample, found: Growth) -> Observation:
    end = growth.forecast(found.trend, now.memory.available, now.wall)
    return Observation(
        UNACCOUNTED,
        "unaccounted",
        Subject(holder="kernel (memory outside all counters of /proc/meminfo)"),
        slab_wording.unaccounted(found, now.memory.unaccounted, end),
        None,
        ("Reboot",),
        began=found.onset,
        measure=_measure(float(now.memory.unaccounted), found, end),
    )


def _measure(value: float, found: Growth, end: Forecast) -> Measure:
    return Measure(
        value=value,
        per_hour=round(found.per_hour),
        exhaustion=end.likely,
        earliest=end.earliest,
        latest=end.latest,
    )


def _reported(now: Sample, site: Site) -> Observation:
    # Rounded, so that it does not change from look to look.
    began = None if site.age is None else now.wall - timedelta(seconds=site.age)
    return Observation(
        REPORTED,
        f"{site.module or ''}/{site.function}",
        Subject(holder=f"kernel ({site.function})", process=f"{site.comm}[{site.pid}]"),
        slab_wording.reported(site),
        slab_causes.of_site(site),
        ("Reboot",),
        began=None if began is None else began.replace(second=0, microsecond=0),
        measure=Measure(float(site.size)),
    )


def _largest(now: Sample) -> dict[tuple[str, ...], float]:
    kept = [cache for cache in now.caches if not cache.reclaimable][:_LARGEST]
    return {(cache.name,): float(cache.size) for cache in kept}


DETECTOR = Detector(
    name="slab",
    condition="KernelMemoryHealthy",
    summary="Kernel memory that grows without anything that accounts for it",
    sample=Sample,
    params=SlabParams,
    reasons=(LEAK, UNACCOUNTED, REPORTED),
    judge=judge,
    signals=(
        Signal(
            "slab_cache_bytes",
            "Bytes of the ten largest slab caches that cannot be reclaimed, by the name in"
            " /proc/slabinfo.",
            _largest,
            labels=("cache",),
        ),
        Signal(
            "slab_unreclaimable_bytes",
            "Slab memory that the kernel cannot give back (SUnreclaim).",
            lambda now: {(): float(now.memory.unreclaimable)},
        ),
        Signal(
            "kernel_memory_unaccounted_bytes",
            "Memory that no counter of /proc/meminfo explains.",
            lambda now: {(): float(now.memory.unaccounted)},
        ),
        Signal(
            "kmemleak_objects",
            "Objects that kmemleak found lost; absent where the kernel has no kmemleak.",
            lambda now: (
                {} if now.sites is None else {(): float(sum(site.objects for site in now.sites))}
            ),
        ),
    ),
)
