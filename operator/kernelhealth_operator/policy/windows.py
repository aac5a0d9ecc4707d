"""When a maintenance window opens, in its own time zone and across changes of the clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from kernelhealth_api.v1alpha1.kernelhealthpolicy import MaintenanceWindow

_BACK = timedelta(hours=3)
"""Longer than any change of the clock, which the search backwards may stumble over."""
LONGEST = timedelta(days=8)
"""Windows that follow upon each other for this long are as good as always open."""
HORIZON = timedelta(days=5 * 366)
"""A window that does not open within this time is taken never to open."""


class WindowError(ValueError):
    """A window whose schedule or time zone cannot be understood; *field* says which of the two."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def next_opening(window: MaintenanceWindow, after: datetime) -> datetime | None:
    """Return when *window* opens next after *after*, in UTC; None: not within ``HORIZON``.

    A start that falls into the hour skipped in spring is made up for right after it, and one in
    the hour that autumn repeats happens once, as in Debian's cron. Raises ``WindowError``.
    """
    opening = next(_openings(window, after), None)
    return None if opening is None or opening - after > HORIZON else opening


def last_opening(window: MaintenanceWindow, after: datetime, until: datetime) -> datetime | None:
    """Return when *window* opens last after *after* and no later than *until*, in UTC.

    Raises ``WindowError``.
    """
    while until > after:
        # Strictly before, to the second: what opens at *until* itself is to be found as well.
        start = next(_openings(window, until + timedelta(seconds=1), reverse=True), None)
        if start is None or start + _BACK <= after:
            return None
        # The way back is not exact about hours that are skipped or repeated, the way forth is.
        last = None
        for opening in _openings(window, max(after, start - _BACK)):
            if opening > until:
                break
            last = opening
        if last is not None:
            return last
        until = start - _BACK
    return None


def open_until(window: MaintenanceWindow, now: datetime) -> datetime | None:
    """Return until when *window* is open at *now*, in UTC; None: it is closed.

    It is open for its duration as a clock measures it that nobody changes. Raises ``WindowError``.
    """
    opened = last_opening(window, now - window.duration, now)
    return None if opened is None else opened + window.duration


def until_of(windows: Iterable[MaintenanceWindow], now: datetime) -> datetime | None:
    """Return until when one or another of *windows* is open from *now* on; None: all are closed.

    Those with errors are left out; looks ahead no further than ``LONGEST``.
    """
    valid, until = _valid(windows), now
    while until - now < LONGEST:
        ends = [end for window in valid if (end := open_until(window, until)) and end > until]
        if not ends:
            break
        until = max(ends)
    return until if until > now else None


def spans(
    windows: Iterable[MaintenanceWindow], now: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Yield from when until when it is open, as far as ``HORIZON``; the first may have begun."""
    valid, moment = _valid(windows), now
    while moment - now <= HORIZON:
        until = until_of(valid, moment)
        if until is not None:
            yield moment, until
        opening = next_of(valid, until or moment)
        if opening is None:
            return
        moment = opening


def next_of(windows: Iterable[MaintenanceWindow], after: datetime) -> datetime | None:
    """Return when the first of *windows* opens after *after*, leaving out those with errors."""
    openings = []
    for window in windows:
        try:
            opening = next_opening(window, after)
        except WindowError:
            # problems.py names it; the others still open.
            continue
        if opening:
            openings.append(opening)
    return min(openings, default=None)


def _openings(
    window: MaintenanceWindow, start: datetime, *, reverse: bool = False
) -> Iterator[datetime]:
    zone = _zone(window.time_zone)
    try:
        for moment in CronSim(window.schedule, start.astimezone(zone), reverse=reverse):
            opening = moment.astimezone(UTC)
            # From within the hour that autumn repeats it would begin in the first of the two.
            if opening < start if reverse else opening > start:
                yield opening
    except CronSimError as error:
        raise WindowError(
            "schedule",
            f"{window.schedule!r} is not a schedule ({error}): "
            "write minute hour day-of-month month day-of-week, for example 0 2 * * 6",
        ) from error


def _valid(windows: Iterable[MaintenanceWindow]) -> tuple[MaintenanceWindow, ...]:
    return tuple(window for window in windows if _understood(window))


def _understood(window: MaintenanceWindow) -> bool:
    try:
        next(_openings(window, datetime(2026, 1, 1, tzinfo=UTC)), None)
    except WindowError:
        return False
    return True


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise WindowError(
            "timeZone",
            f"{name!r} is not a time zone: write an IANA name, for example Europe/Berlin",
        ) from error
