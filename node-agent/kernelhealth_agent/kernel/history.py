"""Rows of measurements over a day, bounded in number, that survive restarts of the agent.

All rows share their times. The last point is provisional: until it is as far from the one before as
the spacing says, the next look replaces it. When there are too many points, every second one goes
and the spacing doubles, up to half an hour: young rows are fine, old ones reach back a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kernelhealth_agent.moments import Moment

MOST = 48
"""Points in time that are kept."""
WINDOW = 86400.0
"""Seconds that the points reach back at the most."""
_RISEN = 1.05
_FALLEN = 0.95


@dataclass(frozen=True, slots=True)
class Track:
    """A row of measurements, the oldest first; where it is short, it began later than the others.

    *onset* is when the number last was at its low, *base* that low: before the row began, perhaps.
    """

    points: tuple[int, ...]
    base: int
    onset: datetime


@dataclass(frozen=True, slots=True)
class History:
    """Rows by name, their times in seconds since boot, and how far these are apart."""

    times: tuple[float, ...] = ()
    spacing: float = 0.0
    tracks: Mapping[str, Track] = field(default_factory=dict)

    def row(self, name: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Return times and values of a row, both empty where there is none."""
        track = self.tracks.get(name)
        count = 0 if track is None else min(len(track.points), len(self.times))
        if track is None or not count:
            return (), ()
        return self.times[-count:], track.points[-count:]

    def level(self, name: str) -> int | None:
        """Return the last value of a row; None where there is none."""
        _, points = self.row(name)
        return points[-1] if points else None


def appended(past: History, readings: Mapping[str, int], now: Moment) -> History:
    """Return a history with one more point; a row that was not read now is forgotten.

    A clock that went backwards begins anew.
    """
    time = round(now.uptime, 1)
    if past.times and time < past.times[-1]:
        past = History()
    indices, spacing = _kept(past.times, past.spacing, time)
    return History(
        times=(*(past.times[index] for index in indices), time),
        spacing=spacing,
        tracks={
            name: _extended(past.tracks.get(name), value, now, indices, len(past.times))
            for name, value in readings.items()
        },
    )


def _kept(times: tuple[float, ...], spacing: float, now: float) -> tuple[list[int], float]:
    """Return which points stay beside one of *now*, and the spacing from now on."""
    indices = [index for index, time in enumerate(times) if now - WINDOW <= time < now]
    if len(indices) > 1 and times[indices[-1]] - times[indices[-2]] < spacing:
        indices.pop()
    if len(indices) < MOST:
        return indices, spacing
    if spacing >= WINDOW / MOST:
        return indices[1:], spacing
    mean = (now - times[indices[0]]) / MOST
    return indices[::2], min(2 * mean, WINDOW / MOST)


def _extended(
    track: Track | None, value: int, now: Moment, indices: list[int], length: int
) -> Track:
    if track is None:
        return Track((value,), value, now.wall)
    known = track.points[-length:] if length else ()
    missing = length - len(known)
    points = (*(known[i - missing] for i in indices if i >= missing), value)
    highest = max(track.points, default=value)
    if value <= track.base or value < _FALLEN * highest:
        return Track(points, value, now.wall)
    risen = value > _RISEN * track.base
    return Track(points, track.base, track.onset if risen else now.wall)
