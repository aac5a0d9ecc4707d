"""Moments: what a person calls the time, beside a clock that nobody can set."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Moment:
    """One point in time: *wall* for people, *uptime* (seconds since boot) for measuring.

    The wall clock of a node jumps when it is first synchronised. Whatever has to last a while is
    therefore measured by CLOCK_BOOTTIME, which also goes on while the machine is suspended and
    means the same to every process of one boot.
    """

    wall: datetime
    uptime: float

    def after(self, seconds: float) -> Moment:
        """Return the moment so many seconds later."""
        return Moment(self.wall + timedelta(seconds=seconds), self.uptime + seconds)


Clock = Callable[[], Moment]


def now() -> Moment:
    """Return the present moment of the running system."""
    return Moment(datetime.now(UTC), time.clock_gettime(time.CLOCK_BOOTTIME))
