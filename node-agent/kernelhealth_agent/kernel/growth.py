"""Whether a row of measurements grows as a leak does, what explains it, and what it follows."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import dataclass
from datetime import datetime, timedelta

from kernelhealth_agent.kernel import populations, trend
from kernelhealth_agent.kernel.history import History
from kernelhealth_agent.kernel.populations import Churn, Living
from kernelhealth_agent.kernel.slab_caches import cache_row, living_row, made_row
from kernelhealth_agent.kernel.trend import Trend

_YEAR = 31_557_600.0
_FEWEST_STEPS = 5
_FEWEST_QUIET = 3
_EVEN = 0.1  # Steps that differ by less than this share are even.
_LEAST_PER = 0.05  # Objects: one in a hundred processes is no reason for anything.
_MOST_BYTES = 16 << 20  # Nothing that comes and goes takes more at once.


@dataclass(frozen=True, slots=True)
class Limits:
    """What makes a growth a leak: see the parameters of the detector, all shares being 0 to 1.

    *grown* is in bytes, *span* and *horizon* in seconds.
    """

    samples: int
    span: float
    grown: float
    fall: float
    recent: float
    confidence: float
    horizon: float
    explained: float
    scatter: float


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the history, the bytes that count for one, and of how many caches they may be."""

    name: str
    each: float = 1.0
    kinds: int = 1


@dataclass(frozen=True, slots=True)
class Growth:
    """A row that grows: its trend in bytes per second, and how many bytes it has grown by.

    *base* is the count at its low, which it left at *onset*. *follows* is what is made whenever it
    grows, *per* the count for one of these.
    """

    trend: Trend
    grown: float
    base: int
    onset: datetime
    follows: Churn | None = None
    per: float = 0.0

    @property
    def per_hour(self) -> float:
        """Bytes an hour."""
        return self.trend.slope * 3600


@dataclass(frozen=True, slots=True)
class Forecast:
    """When memory runs out, most likely and at either end of the band; None beyond a year."""

    likely: datetime | None
    earliest: datetime | None
    latest: datetime | None


def growth(history: History, row: Row, limits: Limits, available: int) -> Growth | None:
    """Return the growth of a row where it is a leak's; *available* is memory in bytes.

    It is none where it is too short or too little, fell meanwhile, has stopped, would last beyond
    the horizon, or is no more than what lives besides accounts for.
    """
    times, points = history.row(row.name)
    if len(points) < max(limits.samples, 2) or times[-1] - times[0] < limits.span:
        return None
    values = [point * row.each for point in points]
    if values[-1] - values[0] < limits.grown or trend.largest_fall(values) > limits.fall:
        return None
    found = trend.theil_sen(times, values, limits.confidence)
    if found is None or not found.rises or found.slope * limits.horizon < available:
        return None
    if trend.share_since(times, values, 0.5) < limits.recent:
        return None
    if explanation(history, found, limits, row) is not None:
        return None
    track = history.tracks[row.name]
    churn, per = followed(history, row, limits)
    return Growth(found, (points[-1] - track.base) * row.each, track.base, track.onset, churn, per)


def explanation(history: History, found: Trend, limits: Limits, row: Row) -> Living | None:
    """Return what lives in the kernel and grows enough to account for a trend in bytes."""
    for living in populations.LIVING:
        times, points = history.row(living_row(living.name))
        if not points or times[-1] <= times[0] or row.name == cache_row(living.cache):
            continue
        most = (points[-1] - points[0]) * living.each * row.kinds / (times[-1] - times[0])
        if most < limits.explained * found.slope / 2:
            continue  # Not even nearly: a trend need not be made of it.
        grown = trend.theil_sen(times, points, limits.confidence)
        if grown is None or not grown.rises:
            continue
        if grown.slope * living.each * row.kinds >= limits.explained * found.slope:
            return living
    return None


def followed(history: History, row: Row, limits: Limits) -> tuple[Churn | None, float]:
    """Return what is made whenever a row grows, and by how many it grows for each.

    Of the counts whose steps the row's steps are in proportion to, the clearest; of those alike,
    the rarest event.
    """
    best: tuple[float, Churn, float] | None = None
    for churn in populations.MADE:
        fit = _proportion(history, row.name, made_row(churn.name))
        if fit is None or fit[0] > limits.scatter:
            continue
        if fit[1] < _LEAST_PER or fit[1] * row.each > _MOST_BYTES:
            continue
        scatter = round(fit[0], 1)
        if best is None or scatter < best[0]:
            best = (scatter, churn, fit[1])
    return (None, 0.0) if best is None else best[1:]


def _proportion(history: History, row: str, other: str) -> tuple[float, float] | None:
    """Return how much the steps of a row scatter about a proportion to another's, and that.

    None where there are too few steps, or they are so even that anything even would fit.
    """
    steps = _steps(history, row, other)
    active = [(grown, made) for grown, made in steps if made > 0]
    total = sum(grown for grown, _ in steps)
    if len(active) < _FEWEST_STEPS or total <= 0:
        return None
    middle, scatter = _spread([grown / made for grown, made in active])
    if middle <= 0:
        return None
    quiet = [grown for grown, made in steps if made <= 0]
    if quiet:
        # What grows just as much while nothing is made follows something else.
        scatter = max(scatter, abs(statistics.mean(quiet)) / statistics.mean(g for g, _ in active))
    _, unevenness = _spread([float(made) for _, made in active])
    if len(quiet) < _FEWEST_QUIET and unevenness < 2 * scatter + _EVEN:
        return None
    return scatter, total / sum(made for _, made in active)


def _steps(history: History, row: str, other: str) -> list[tuple[int, int]]:
    """Return by how much two rows grew from point to point, as far back as both go."""
    _, left = history.row(row)
    _, right = history.row(other)
    count = min(len(left), len(right))
    rows = left[len(left) - count :], right[len(right) - count :]
    grown, made = ([b - a for a, b in itertools.pairwise(points)] for points in rows)
    return list(zip(grown, made, strict=True))


def _spread(values: list[float]) -> tuple[float, float]:
    """Return the median, and the median distance from it as a share of it."""
    middle = statistics.median(values)
    distance = statistics.median(abs(value - middle) for value in values)
    return middle, distance / abs(middle) if middle else math.inf


def forecast(found: Trend, available: int, now: datetime) -> Forecast:
    """Return when so many bytes are used up, rounded so that it does not change with every look."""
    return Forecast(
        _end(found.slope, available, now),
        _end(found.upper, available, now),
        _end(found.lower, available, now),
    )


def _end(slope: float, available: int, now: datetime) -> datetime | None:
    if slope <= 0 or available / slope > _YEAR:
        return None
    seconds = available / slope
    end = now + timedelta(seconds=seconds)
    unit = 3600 if seconds > 86400 else 60
    return end.replace(microsecond=0) - timedelta(seconds=int(end.timestamp()) % unit)
