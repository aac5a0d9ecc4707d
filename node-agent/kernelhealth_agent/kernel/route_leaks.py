"""What leaks IPv6 route objects, how fast, until when and since whom: measured and in words."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from kernelhealth_agent.kernel import occupants
from kernelhealth_agent.kernel.suppress_prefix import Routing, Sample
from kernelhealth_api.detector import Measure
from kernelhealth_api.v1alpha1.finding import Subject

_HOUR = 3600.0
_LONGEST = 8766.0
"""Hours, a year: beyond that it is no forecast any more."""


def grows(routing: Routing, samples: int, span: float, per_hour: float) -> bool:
    """Whether objects that nothing explains become more, *per_hour* at the least.

    *samples* looks over *span* seconds must say so.
    """
    trend = routing.trend
    if trend is None or trend.samples < samples or trend.span < span:
        return False
    return trend.lower * _HOUR >= per_hour


def measure(routing: Routing, now: Sample, threshold: int, *, grows: bool) -> Measure:
    """Return the number of unexplained objects, their growth and when memory is full of them."""
    value = float(rounded(routing.objects.unexplained)) if routing.objects is not None else 0.0
    if not grows or routing.trend is None:
        return Measure(value, float(threshold))
    trend = routing.trend
    return Measure(
        value,
        float(threshold),
        per_hour=float(rounded(round(trend.slope * _HOUR))),
        exhaustion=_full(now, trend.slope),
        earliest=_full(now, trend.upper),
        latest=_full(now, trend.lower),
    )


def leak(routing: Routing, now: Sample, found: Measure) -> str:
    """Return the message on a leak."""
    objects = routing.objects
    total, explained = (objects.total, objects.explained) if objects is not None else (0, 0)
    merged = f", counted in /proc/slabinfo also as {', '.join(now.merged[:3])}"
    stop = "remove the rule or the filter to stop it, and " if routing.rules else ""
    return (
        f"{title(routing)} has about {rounded(total)} IPv6 route objects, of which its routes and"
        f" sockets explain {explained} (cache ip6_dst_cache{merged if now.merged else ''}),"
        f" {_growth(found, now)}; {stop}plan a reboot: nothing else frees them"
        f"{installed(routing)}."
    )


def title(routing: Routing) -> str:
    """Return whose routing it is."""
    return "The host" if routing.is_host else occupants.title(routing.space)


def installed(routing: Routing) -> str:
    """Return who set up the trap, in brackets; nothing where nobody is known."""
    known = [installer.text for installer in routing.installers]
    return f" (set up by {', '.join(known[:3])})" if known else ""


def subject(routing: Routing, rule: str | None) -> Subject:
    """Return the subject: the namespace, the rule, and the first file that set it up."""
    files = [installer.file for installer in routing.installers if installer.file is not None]
    return occupants.subject(routing.space, rule=rule, file=files[0] if files else None)


def rounded(number: int) -> int:
    """Return a number with two digits that count, so that a finding is not news in each look."""
    if number < 100:
        return number
    unit: int = 10 ** (len(str(number)) - 2)
    return number // unit * unit


def _growth(found: Measure, now: Sample) -> str:
    """Return how much memory is lost, how much more each hour, and until when there is some."""
    lost = f"which costs {_megabytes(found.value * now.size)}"
    if found.per_hour is None:
        return lost
    more = f"and {found.per_hour:.0f} more each hour ({_megabytes(found.per_hour * now.size)})"
    if found.exhaustion is None:
        return f"{lost}, {more}"
    until = found.exhaustion.astimezone(UTC).strftime("%Y-%m-%d %H:00 UTC")
    return f"{lost}, {more}: memory lasts until about {until}"


def _megabytes(size: float) -> str:
    return f"{size / (1 << 20):.1f} MiB"


def _full(now: Sample, per_second: float) -> datetime | None:
    """Return when the memory is full at that rate, to the hour; None where it never is."""
    if now.available is None or now.wall is None or per_second <= 0:
        return None
    hours = now.available / (per_second * now.size) / _HOUR
    if not math.isfinite(hours) or hours > _LONGEST:
        return None
    return (now.wall + timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)
