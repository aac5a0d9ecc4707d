"""When something disruptive may begin: at once, in a maintenance window, or before it is too late.

Pure arithmetic on moments in UTC; nothing is booked, the answer is worked out anew each time.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kernelhealth_api.v1alpha1.kernelhealthpolicy import MaintenanceWindow
from kernelhealth_operator.policy import windows


class When(enum.StrEnum):
    """What a policy lets something wait for."""

    MAINTENANCE_WINDOW = "MaintenanceWindow"
    """The next maintenance window."""
    NOW = "Now"
    """Nothing."""
    BEFORE_EXHAUSTION = "BeforeExhaustion"
    """The last window before the node runs out; at once if there is none. Without a forecast the
    next window."""


@dataclass(frozen=True, slots=True)
class Appointment:
    """From when until when it may be begun; *ends* is None where nothing ends it."""

    begins: datetime
    ends: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """When something shall begin, how long it *needs* of a window, and the forecast if any."""

    when: When
    needs: timedelta
    runs_out: datetime | None = None


def arrange(wish: Wish, openings: Sequence[MaintenanceWindow], now: datetime) -> Appointment | None:
    """Return when it may begin; None: never, because no window is long enough or ever opens.

    Windows with errors are left out. One that is open counts only while there is as much left of
    it as is needed; one that follows upon another makes it longer.
    """
    if wish.when is When.NOW:
        return Appointment(now)
    if wish.when is When.BEFORE_EXHAUSTION and wish.runs_out is not None:
        return _before(wish.runs_out - wish.needs, wish, openings, now)
    return _now_open(wish, openings, now) or _next(wish, openings, now)


def _before(
    latest: datetime, wish: Wish, openings: Sequence[MaintenanceWindow], now: datetime
) -> Appointment:
    found = [last for each in _long_enough(wish, openings) if (last := _last(each, now, latest))]
    if found:
        return Appointment(max(found), windows.until_of(openings, max(found)))
    return (latest > now and _now_open(wish, openings, now)) or Appointment(now)


def _last(window: MaintenanceWindow, now: datetime, latest: datetime) -> datetime | None:
    try:
        return windows.last_opening(window, now, latest)
    except windows.WindowError:
        return None


def _now_open(
    wish: Wish, openings: Sequence[MaintenanceWindow], now: datetime
) -> Appointment | None:
    until = windows.until_of(openings, now)
    return None if until is None or until - now < wish.needs else Appointment(now, until)


def _next(wish: Wish, openings: Sequence[MaintenanceWindow], now: datetime) -> Appointment | None:
    opening = windows.next_of(_long_enough(wish, openings), now)
    return None if opening is None else Appointment(opening, windows.until_of(openings, opening))


def _long_enough(wish: Wish, openings: Sequence[MaintenanceWindow]) -> list[MaintenanceWindow]:
    return [window for window in openings if window.duration >= wish.needs]
