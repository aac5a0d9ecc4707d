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
    """The kinds whose watch is quiet for longer than a bookmark can be late."""
    now = clock()
    return tuple(
        kind for kind, watch in watches.items() if now - watch.last_heard > 1.5 * BOOKMARK_PERIOD
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: for a watch without a byte, a stall of the loop, one look at a node, one beat."""

    silence: float = 3 * BOOKMARK_PERIOD
    lag: float = 5.0
    look: float = 600.0
    beat: float = 30.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """What is known of the process; ages in seconds, watches only once they are synced."""

    watches: Mapping[str, float]
    looks: Mapping[str, float]
    lag: float
    beat: float


def complaints(vitals: Vitals, limits: Limits) -> Iterator[str]:
    """Sentences about what is wrong; none means alive."""
    for kind, age in vitals.watches.items():
        if age > limits.silence:
            yield f"The watch of {kind} has heard nothing for {age:.0f} s."
    for name, age in vitals.looks.items():
        if age > limits.look:
            yield f"Looking at Node {name} has taken {age:.0f} s so far."
    if vitals.lag > limits.lag:
        yield f"The event loop stood still for {vitals.lag:.1f} s."
    if vitals.beat > limits.beat:
        yield f"The heartbeat is {vitals.beat:.0f} s old."
