"""When a maintenance window opens, in its own time zone and across changes of the clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from kernelhealth_api.v1alpha1.kernelhealthpolicy import MaintenanceWindow

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
    zone = _zone(window.time_zone)
    try:
        opening = next(CronSim(window.schedule, after.astimezone(zone)), None)
    except CronSimError as error:
        raise WindowError(
            "schedule",
            f"{window.schedule!r} is not a schedule ({error}): "
            "write minute hour day-of-month month day-of-week, for example 0 2 * * 6",
        ) from error
    if opening is None or opening - after > HORIZON:
        return None
    return opening.astimezone(UTC)


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


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise WindowError(
            "timeZone",
            f"{name!r} is not a time zone: write an IANA name, for example Europe/Berlin",
        ) from error
