"""Whether this process is worth keeping: what would only be cured by a restart."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

BOOKMARK_PERIOD = 60.0
"""Seconds between two bookmarks of a healthy watch."""

_BEAT = 1.0
_REMEMBERED_BEATS = 60


@dataclass(slots=True)
class Pulse:
    """A beat each second; how late it comes is how long something held up the event loop."""

    clock: Callable[[], float]
    last: float = float("-inf")
    _late: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_BEATS))

    @property
    def lag(self) -> float:
        """The longest stall of the last minute, in seconds."""
        return max(self._late, default=0.0)

    @property
    def stalled(self) -> float:
        """All stalls of the last 60 beats together, in seconds."""
        return sum(self._late)

    async def beat(self, each: Callable[[], None]) -> None:
        """Beats until cancelled, and calls *each* with every beat."""
        while True:
            begun = self.clock()
            await asyncio.sleep(_BEAT)
            self.last = self.clock()
            self._late.append(max(0.0, self.last - begun - _BEAT))
            each()


class Heard(Protocol):
    """A watch, as far as it says when (monotonic seconds) it last heard something."""

    last_heard: float


def unheard(watches: Mapping[str, Heard], clock: Callable[[], float]) -> tuple[str, ...]:
    """The kinds whose watch is quiet for so long that it should have been begun anew.

    Of a kind at rest the server may send no bookmark at all: then the watch is renewed after its
    own time of silence, which is two periods.
    """
    now, longest = clock(), 2.5 * BOOKMARK_PERIOD
    return tuple(kind for kind, watch in watches.items() if now - watch.last_heard > longest)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: for a watch without a byte, all stalls of a minute, one look at a node, one beat.

    One stall that is over is nothing that a restart would cure.
    """

    silence: float = 3 * BOOKMARK_PERIOD
    stalled: float = 30.0
    look: float = 600.0
    beat: float = 30.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """What is known of the process; ages in seconds, watches only once they are synced."""

    watches: Mapping[str, float]
    looks: Mapping[str, float]
    stalled: float
    beat: float


def complaints(vitals: Vitals, limits: Limits) -> Iterator[str]:
    """Sentences about what is wrong; none means alive."""
    for kind, age in vitals.watches.items():
        if age > limits.silence:
            yield f"The watch of {kind} has heard nothing for {age:.0f} s."
    for name, age in vitals.looks.items():
        if age > limits.look:
            yield f"Looking at Node {name} has taken {age:.0f} s so far."
    if vitals.stalled > limits.stalled:
        yield f"The event loop stood still for {vitals.stalled:.1f} s in the last 60 beats."
    if vitals.beat > limits.beat:
        yield f"The heartbeat is {vitals.beat:.0f} s old."
