"""The numbers of findings: how many, how fast they come, and when the node runs out. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kernelhealth_agent.confirmation import Seen
from kernelhealth_agent.moments import Moment
from kernelhealth_api.detector import Measure, Params, Reason, Severity

_DAY, _HOUR = 86400.0, 3600.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What findings are judged by.

    *watched* is when the detector first looked in this boot, *capacities* how many subjects of a
    reason the node can bear at all, where a detector knows it.
    """

    params: Params
    now: Moment
    watched: Moment
    capacities: Mapping[str, float] = field(default_factory=dict)


def worst(group: Iterable[Seen]) -> Measure | None:
    """Return the measure that runs out first, or the largest; None for no measure at all."""
    measures = [seen.observation.measure for seen in group if seen.observation.measure is not None]
    ends = [(m.exhaustion, m) for m in measures if m.exhaustion is not None]
    if ends:
        return min(ends, key=lambda end: end[0])[1]
    return max(measures, key=lambda measure: measure.value, default=None)


def counted(
    every: Sequence[Seen], group: Sequence[Seen], setting: Setting, severity: Severity
) -> Measure:
    """Return the count of subjects as a measure; no number where none decides."""
    reason = group[0].observation.reason
    limit = threshold(reason, setting.params)
    judged = limit is not None and severity is not Severity.INFO
    rate = per_hour(group, setting)
    return Measure(
        value=float(weighty(every)) if judged else math.nan,
        threshold=limit if judged else None,
        per_hour=rate,
        exhaustion=_exhaustion(reason, len(every), rate, setting),
    )


def threshold(reason: Reason, params: Params) -> float | None:
    """Return the number of subjects from which on a reason is Critical."""
    return None if reason.critical is None else float(getattr(params, reason.critical))


def own_severity(seen: Seen) -> Severity:
    """Return the severity of one subject alone."""
    return seen.observation.severity or seen.observation.reason.severity


def weighty(every: Iterable[Seen]) -> int:
    """Count what may add up to something Critical: an Info never does."""
    return sum(own_severity(seen) is not Severity.INFO for seen in every)


def per_hour(group: Iterable[Seen], setting: Setting) -> float | None:
    """Return how many subjects an hour came during the last day; None within the first hour.

    What was there at the first look is no newcomer, unless the kernel dates it.
    """
    span = min(_DAY, setting.now.uptime - setting.watched.uptime)
    if span < _HOUR:
        return None
    newcomers = sum(_arrived_within(seen, span, setting) for seen in group)
    return round(newcomers / (span / _HOUR), 2)


def _arrived_within(seen: Seen, span: float, setting: Setting) -> bool:
    if seen.observation.began is not None:
        return setting.now.wall - seen.observation.began < timedelta(seconds=span)
    return seen.first.uptime > max(setting.watched.uptime, setting.now.uptime - span)


def _exhaustion(
    reason: Reason, count: int, rate: float | None, setting: Setting
) -> datetime | None:
    capacity = setting.capacities.get(reason.name)
    if capacity is None or not rate:
        return None
    hours = max(0.0, capacity - count) / rate
    # Beyond a year it is no forecast any more.
    return setting.now.wall + timedelta(hours=hours) if hours < 8766 else None


def is_soon(exhaustion: datetime | None, reason: Reason, setting: Setting) -> bool:
    """Whether the node runs out within the time that makes a finding of this reason Critical."""
    if exhaustion is None or reason.forecast is None:
        return False
    margin: timedelta = getattr(setting.params, reason.forecast)
    return exhaustion - setting.now.wall <= margin
