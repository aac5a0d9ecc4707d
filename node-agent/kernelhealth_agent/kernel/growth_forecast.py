"""How fast a number grows, by its history, and when something runs out should it go on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from kernelhealth_agent.kernel import trend
from kernelhealth_agent.kernel.history import History
from kernelhealth_api.detector import Measure

_HOUR = 3600.0
_LONGEST_HOURS = 8766.0  # A year: beyond it nothing is a forecast any more.


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much a number grew in an hour, with the ends of the band of confidence.

    *seconds* is the time it was watched for, *onset* when it last was at its low.
    """

    per_hour: float
    lower: float
    upper: float
    seconds: float
    onset: datetime

    def rises_for(self, span: timedelta) -> bool:
        """Whether it surely rises, and was watched for so long."""
        # Times were rounded: what is missing may be less than any clock can tell.
        return self.lower > 0 and round(self.seconds) >= span.total_seconds()


def growth(history: History, name: str) -> Growth | None:
    """Return how a number of that name grew; None where fewer than three looks tell nothing."""
    times, values = history.row(name)
    found = trend.theil_sen(times, values)
    if found is None:
        return None
    return Growth(
        per_hour=found.slope * _HOUR,
        lower=found.lower * _HOUR,
        upper=found.upper * _HOUR,
        seconds=found.span,
        onset=history.tracks[name].onset,
    )


def measure(
    value: float, threshold: float, left: float | None, grown: Growth | None, now: datetime
) -> Measure:
    """Return a number as a measure; *left* is how much more there may be, None for no end."""
    if grown is None:
        return Measure(value, threshold)
    per_hour = round(grown.per_hour, 1)
    if left is None or grown.lower <= 0:
        return Measure(value, threshold, per_hour)
    return Measure(
        value,
        threshold,
        per_hour,
        exhaustion=_end(left, grown.per_hour, now),
        earliest=_end(left, grown.upper, now),
        latest=_end(left, grown.lower, now),
    )


def _end(left: float, per_hour: float, now: datetime) -> datetime | None:
    hours = max(0.0, left) / per_hour
    return now + timedelta(hours=hours) if hours < _LONGEST_HOURS else None
