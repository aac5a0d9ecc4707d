"""Conditions: for each detector whether all is well, or not, or whether nobody can tell. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kernelhealth_agent.confirmation import Verdict
from kernelhealth_agent.looks import Look
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.wording import printable, shortened
from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_api.v1alpha1.resource import Condition, ConditionStatus

_LONGEST_MESSAGE = 1024
_LONGEST_NOTE = 200


@dataclass(frozen=True, slots=True)
class Sight:
    """What could not be looked at: *blind* this time, *lacking* for want of a capability."""

    blind: Sequence[str] = ()
    lacking: Sequence[str] = ()


def condition(
    look: Look,
    verdict: Verdict | None,
    findings: Sequence[Finding],
    sight: Sight,
    now: Moment,
) -> Condition:
    """Return the condition after one look; *sight* says what could not be looked at.

    *findings* are those of this detector, worst first; *verdict* is None where the look failed.
    """
    status, reason, message = _outcome(look, verdict, findings)
    if status == "True" and sight.lacking:
        # What was seen is seen; but nothing can be called well by somebody who sees half of it.
        status, reason = "Unknown", "Forbidden"
        message = f"{message.rstrip('. ')}, but {'; '.join(sight.lacking)}"
    notes = [look.thresholds.complaint] if look.thresholds.complaint else []
    if status == "True" and sight.blind:
        more = f" and {len(sight.blind) - 1} more" if len(sight.blind) > 1 else ""
        notes.append(f"partly blind: {shortened(sight.blind[0], _LONGEST_NOTE)}{more}")
    sentence = "; ".join([message.rstrip(". "), *notes]) if notes else message
    return Condition(
        type=look.detector.condition,
        status=status,
        reason=reason,
        message=shortened(printable(sentence), _LONGEST_MESSAGE),
        last_transition_time=now.wall,
    )


def settled(new: Condition, previous: Mapping[str, Condition]) -> Condition:
    """Return the condition with the time at which its status last changed."""
    before = previous.get(new.type)
    if before is None or before.status != new.status:
        return new
    return new.model_copy(update={"last_transition_time": before.last_transition_time})


def _outcome(
    look: Look, verdict: Verdict | None, findings: Sequence[Finding]
) -> tuple[ConditionStatus, str, str]:
    if verdict is None:
        failure = look.failure
        if failure is None:
            return "Unknown", "NotMeasured", "it was not measured yet"
        return "Unknown", failure.reason, failure.message
    troubles = [found for found in findings if found.severity is not Severity.INFO]
    if troubles:
        return "False", troubles[0].reason, _troubles(troubles)
    if verdict.suspected:
        return "True", "Suspected", _suspicion(verdict)
    notes = f"; noted: {findings[0].message}" if findings else ""
    return "True", "AsExpected", f"nothing wrong was seen{notes}"


def _troubles(troubles: Sequence[Finding]) -> str:
    others = dict.fromkeys(found.reason for found in troubles[1:])
    others.pop(troubles[0].reason, None)
    if not others:
        return troubles[0].message
    return f"{troubles[0].message.rstrip('.')}. Besides: {', '.join(others)}."


def _suspicion(verdict: Verdict) -> str:
    oldest = min(verdict.suspected, key=lambda seen: seen.due).observation
    more = len(verdict.suspected) - 1
    others = f", and {more} more" if more else ""
    return f"waits to be confirmed by time: {oldest.reason.name}: {oldest.message}{others}"
