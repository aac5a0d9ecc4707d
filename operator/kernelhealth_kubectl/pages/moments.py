"""Moments as a person reads them: in UTC, and how far away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_AT_ONCE = timedelta(seconds=2)
_STEPS = (
    (timedelta(days=2), timedelta(days=1), "d"),
    (timedelta(hours=2), timedelta(hours=1), "h"),
)


def until(moment: datetime | None, now: datetime) -> str:
    """Return when *moment* is: ``2026-01-03 02:00Z, in 14h``; nothing where it is not known."""
    if moment is None:
        return ""
    away = moment - now
    if abs(away) < _AT_ONCE:
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z, now"
    far = f"in {length(away)}" if away >= timedelta(0) else f"{length(-away)} ago"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z, {far}"


def length(span: timedelta) -> str:
    """Return a length in one unit that is not too coarse: ``90s``, ``45m``, ``14h``, ``3d``."""
    for least, unit, letter in _STEPS:
        if span >= least:
            return f"{span // unit}{letter}"
    if span >= timedelta(minutes=2):
        return f"{span // timedelta(minutes=1)}m"
    return f"{span // timedelta(seconds=1)}s"
