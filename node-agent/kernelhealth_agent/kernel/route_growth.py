"""How the IPv6 route objects of namespaces that nothing explains grow, over the looks of a boot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kernelhealth_agent.kernel import trend
from kernelhealth_agent.kernel.trend import Trend

_FEWEST = 64
"""Objects from which on it is worth to remember a namespace."""
_MOST_POINTS, _MOST_SERIES = 24, 128
_FALL = 0.75
"""What falls below this part of its last value is freed: no leak, or another namespace."""


@dataclass(frozen=True, slots=True)
class Point:
    """How many objects nothing explained, at an uptime in seconds."""

    uptime: float
    objects: int


@dataclass(frozen=True, slots=True)
class Series:
    """The looks at one namespace, by its inode number, oldest first."""

    inode: int
    points: tuple[Point, ...]

    @property
    def trend(self) -> Trend | None:
        """The growth in objects per second; None for too few looks."""
        return trend.theil_sen(
            [point.uptime for point in self.points], [float(p.objects) for p in self.points]
        )


@dataclass(frozen=True, slots=True)
class Growths:
    """What is remembered of all namespaces that had many."""

    series: tuple[Series, ...] = ()


def updated(past: Growths | None, uptime: float, counts: Mapping[int, int]) -> Growths:
    """Return the series after a look that found *counts* unexplained objects, by inode number.

    Of 24 points every second one goes, so that they reach back farther the longer it lasts; of
    more than 128 namespaces those with the most objects stay.
    """
    known = {series.inode: series.points for series in past.series} if past else {}
    worst = sorted(counts, key=lambda inode: counts[inode], reverse=True)[:_MOST_SERIES]
    found = []
    for inode in worst:
        if counts[inode] >= _FEWEST:
            points = _continued(known.get(inode, ()), Point(uptime, counts[inode]))
            found.append(Series(inode, points))
    return Growths(tuple(found))


def unexplained(past: Growths | None, but: int) -> int:
    """Return how many objects nothing explained at the last look, without namespace *but*."""
    known = past.series if past else ()
    return sum(series.points[-1].objects for series in known if series.inode != but)


def _continued(points: tuple[Point, ...], now: Point) -> tuple[Point, ...]:
    if not points or now.objects < _FALL * points[-1].objects or now.uptime <= points[-1].uptime:
        return (now,)
    if len(points) >= _MOST_POINTS:
        points = points[::2]
    return (*points, now)
