"""Folds confirmed observations into findings: one for each reason and cause, counts right. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from kernelhealth_agent import measures
from kernelhealth_agent.confirmation import Seen
from kernelhealth_agent.wording import clipped, printable, shortened
from kernelhealth_api.v1alpha1.finding import Finding, Severity, Subject

_DAY, _HOUR = 86400.0, 3600.0
_PODS_NAMED = 3
_LONGEST_MESSAGE = 1024
_MOST_WORDS = 8


def fold(confirmed: Iterable[Seen], setting: measures.Setting) -> list[Finding]:
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


def _finding(group: Sequence[Seen], every: Sequence[Seen], setting: measures.Setting) -> Finding:
    """Return one finding of *group*; *every* has the same reason, and other causes too."""
    ordered = sorted(group, key=_since)
    oldest = ordered[0].observation
    severity = _severity(group, every, measures.threshold(oldest.reason, setting.params))
    measure = measures.worst(group) or measures.counted(every, group, setting, severity)
    if severity is not Severity.INFO and measures.is_soon(
        measure.exhaustion, oldest.reason, setting
    ):
        severity = Severity.CRITICAL
    return Finding(
        reason=oldest.reason.name,
        severity=severity,
        cause=oldest.cause and clipped(oldest.cause),
        subject=_bounded(oldest.subject),
        message=message(ordered),
        count=len(group),
        since=_since(ordered[0]),
        value=None if math.isnan(measure.value) else measure.value,
        threshold=measure.threshold,
        per_hour=measure.per_hour,
        exhaustion=measure.exhaustion,
        exhaustion_earliest=measure.earliest,
        exhaustion_latest=measure.latest,
        cures=_cures(ordered)[:_MOST_WORDS],
    )


def _since(seen: Seen) -> datetime:
    return seen.observation.began or seen.first.wall


def _severity(group: Iterable[Seen], every: Sequence[Seen], threshold: float | None) -> Severity:
    """Return the severity: that of the worst subject, or Critical where there are too many.

    The subjects of all causes count together, since the node bears them together.
    """
    worst = max((measures.own_severity(seen) for seen in group), key=lambda severity: severity.rank)
    if (
        worst is not Severity.INFO
        and threshold is not None
        and measures.weighty(every) >= threshold
    ):
        return Severity.CRITICAL
    return worst


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
