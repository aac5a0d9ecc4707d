"""When a queue of reboots is through, and whether the windows are long enough for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from kernelhealth_api import duration
from kernelhealth_api.v1alpha1.kernelhealthpolicy import MaintenanceWindow
from kernelhealth_operator.policy import windows

_AHEAD = 120
"""How many windows ahead are looked at."""
_QUARTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Backlog:
    """*waiting* nodes, of which *at_once* may be away at a time, for as long as *each* takes."""

    waiting: int
    at_once: int
    each: timedelta


@dataclass(frozen=True, slots=True)
class Outlook:
    """When all are through, None if that cannot be foreseen; *fits* is how many one window takes.

    *too_short* says why the windows are not enough; empty: they are.
    """

    through: datetime | None = None
    fits: int | None = None
    too_short: str = ""


def foresee(backlog: Backlog, openings: Sequence[MaintenanceWindow], now: datetime) -> Outlook:
    """Return how it goes on at this pace, if nothing comes in between.

    Without windows everything goes on at once. What is through is told to the quarter of an hour.
    """
    if not backlog.waiting or not backlog.at_once or backlog.each <= timedelta(0):
        return Outlook()
    if not openings:
        return Outlook(_quarter(now + _turns(backlog) * backlog.each))
    through, left, free, already_open = None, _turns(backlog), list[int](), False
    # One after the other: windows without gaps between them take long to follow to their end.
    for begins, ends in islice(windows.spans(openings, now), _AHEAD):
        already_open = already_open or begins <= now
        turns = (ends - begins) // backlog.each
        free.append(turns * backlog.at_once)
        if left <= turns:
            through = _quarter(begins + left * backlog.each)
            break
        left -= turns
    return _judged(backlog, through, free, already_open=already_open)


def _judged(
    backlog: Backlog, through: datetime | None, free: Sequence[int], *, already_open: bool
) -> Outlook:
    # What is left of a window that is open counts together with the next whole one.
    soon = sum(free[: 2 if already_open else 1])
    whole = free[1 if already_open and len(free) > 1 else 0] if free else 0
    if backlog.waiting <= soon:
        return Outlook(through, whole)
    each = duration.text(backlog.each)
    how = f"{backlog.waiting} reboots wait, {backlog.at_once} at once for {each} each"
    what = f"{how}, but only {soon} fit into the next window"
    if not any(free):
        what = f"{how}, and no window is long enough for a single one"
    cure = "lengthen the window, add another, or raise maxUnavailable"
    return Outlook(through, whole, f"{what}: {cure}")


def _turns(backlog: Backlog) -> int:
    return -(-backlog.waiting // backlog.at_once)


def _quarter(moment: datetime) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + -(-(moment - midnight) // _QUARTER) * _QUARTER
