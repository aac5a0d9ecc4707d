"""By how much counters grew lately, whatever the time between two looks.

Two marks are kept of each counter. Once the later one is five minutes old it takes the place of
the earlier one, so that growth is told for as long as it is five to ten minutes old: a burst of
losses is no less true because nothing was lost in the last minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernelhealth_agent.kernel.processor_counters import grown

SPACING = 300.0


@dataclass(frozen=True, slots=True)
class Marks:
    """What counters said *before*, and later, at an uptime in seconds."""

    before: tuple[int, ...]
    later: tuple[int, ...]
    uptime: float


def marked(past: Marks | None, now: Sequence[int], uptime: float) -> Marks:
    """Return the marks for the next look."""
    values = tuple(now)
    if past is None or len(past.before) != len(values) or past.uptime > uptime:
        return Marks(values, values, uptime)
    if uptime - past.uptime >= SPACING:
        return Marks(past.later, values, uptime)
    return past


def growth(past: Marks | None, now: Sequence[int]) -> tuple[int, ...]:
    """Return by how much each counter grew lately; nothing at the first look."""
    if past is None or len(past.before) != len(now):
        return (0,) * len(now)
    return tuple(grown(before, value) for before, value in zip(past.before, now, strict=True))
