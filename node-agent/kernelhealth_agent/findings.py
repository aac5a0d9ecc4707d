"""Folds confirmed observations into findings: one for each reason and cause, counts right. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kernelhealth_agent.confirmation import Seen
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.wording import clipped, printable, shortened
from kernelhealth_api.detector import Params, Reason
from kernelhealth_api.v1alpha1.finding import Finding, Severity, Subject

_DAY, _HOUR = 86400.0, 3600.0
_PODS_NAMED = 3
_LONGEST_MESSAGE = 1024
_MOST_WORDS = 8


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


def fold(confirmed: Iterable[Seen], setting: Setting) -> list[Finding]:
    """Return the findings that confirmed observations amount to, worst first."""
    by_reason: dict[str, list[Seen]] = defaultdict(list)
    for seen in confirmed:
        by_reason[seen.observation.reason.name].append(seen)
    found = []
    for every in by_reason.values():
        by_cause: dict[str | None, list[Seen]] = defaultdict(list)
        for seen in every:
            by_cause[seen.observation.cause].append(seen)
        found += [_finding(group, every, setting) for group in by_cause.values()]
    return worst_first(found)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by severity, then count, then age, then name."""
    return sorted(findings, key=lambda f: (-f.severity.rank, -f.count, f.since, f.reason))


def _finding(group: Sequence[Seen], every: Sequence[Seen], setting: Setting) -> Finding:
    """Return one finding of *group*; *every* has the same reason, and other causes too."""
    ordered = sorted(group, key=_since)
    oldest = ordered[0].observation
    threshold = _threshold(oldest.reason, setting.params)
    rate = per_hour(group, setting)
    exhaustion = _exhaustion(oldest.reason, len(every), rate, setting)
    severity = _severity(group, every, threshold)
    judged = threshold is not None and severity is not Severity.INFO
    if severity is not Severity.INFO and _is_soon(exhaustion, oldest.reason, setting):
        severity = Severity.CRITICAL
    return Finding(
        reason=oldest.reason.name,
        severity=severity,
        cause=oldest.cause and clipped(oldest.cause),
        subject=_bounded(oldest.subject),
        message=message(ordered),
        count=len(group),
        since=_since(ordered[0]),
        value=float(_weighty(every)) if judged else None,
        threshold=threshold if judged else None,
        per_hour=rate,
        exhaustion=exhaustion,
        cures=_cures(ordered)[:_MOST_WORDS],
    )


def _since(seen: Seen) -> datetime:
    return seen.observation.began or seen.first.wall


def _threshold(reason: Reason, params: Params) -> float | None:
    return None if reason.critical is None else float(getattr(params, reason.critical))


def _own_severity(seen: Seen) -> Severity:
    return seen.observation.severity or seen.observation.reason.severity


def _weighty(every: Iterable[Seen]) -> int:
    """Count what may add up to something Critical: an Info never does."""
    return sum(_own_severity(seen) is not Severity.INFO for seen in every)


def _severity(group: Iterable[Seen], every: Sequence[Seen], threshold: float | None) -> Severity:
    """Return the severity: that of the worst subject, or Critical where there are too many.

    The subjects of all causes count together, since the node bears them together.
    """
    worst = max((_own_severity(seen) for seen in group), key=lambda severity: severity.rank)
    if worst is not Severity.INFO and threshold is not None and _weighty(every) >= threshold:
        return Severity.CRITICAL
    return worst


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


def _is_soon(exhaustion: datetime | None, reason: Reason, setting: Setting) -> bool:
    """Whether the node runs out within the time that makes a finding of this reason Critical."""
    if exhaustion is None or reason.forecast is None:
        return False
    margin: timedelta = getattr(setting.params, reason.forecast)
    return exhaustion - setting.now.wall <= margin


def message(ordered: Sequence[Seen]) -> str:
    """Return the sentence of the oldest observation, and how many and whose the others are."""
    first = ordered[0].observation
    sentence = printable(first.message.strip())
    if len(ordered) == 1:
        return shortened(sentence, _LONGEST_MESSAGE)
    pods = dict.fromkeys(s.observation.subject.pod for s in ordered)
    others = [clipped(pod) for pod in pods if pod and pod != first.subject.pod]
    tail = f" {len(ordered)} in all"
    if others:
        tail += f", also of {'pod' if len(others) == 1 else 'pods'} "
        tail += ", ".join(others[:_PODS_NAMED])
        if len(others) > _PODS_NAMED:
            tail += f" and {len(others) - _PODS_NAMED} more"
    tail += "."
    if not sentence.endswith((".", "!", "?")):
        sentence += "."
    return shortened(sentence, _LONGEST_MESSAGE - len(tail)) + tail


def _bounded(subject: Subject) -> Subject:
    """Return the subject with every part at a length that fits into a report."""
    bounded: dict[str, object] = {}
    for name in subject.model_fields_set:
        value = getattr(subject, name)
        if isinstance(value, str):
            bounded[name] = clipped(value)
        elif isinstance(value, tuple):
            bounded[name] = tuple(clipped(item) for item in value[:_MOST_WORDS])
    return subject.model_copy(update=bounded) if bounded else subject


def _cures(ordered: Iterable[Seen]) -> tuple[str, ...]:
    """Return the cures of all, mildest first: what stands last in any of the lists stays last."""
    from_the_end: dict[str, int] = {}
    for seen in ordered:
        cures = seen.observation.cures
        for index, cure in enumerate(cures):
            distance = len(cures) - index
            from_the_end[cure] = min(distance, from_the_end.get(cure, distance))
    return tuple(sorted(from_the_end, key=lambda cure: -from_the_end[cure]))
