"""Many nodes that fall ill of the same thing at once: a rollout or a detector is to be suspected.

What they have in common is left alone until no other node has fallen ill of it for a while, and
then tried on one node first; everything else is treated meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from kernelhealth_api import duration
from kernelhealth_api.v1alpha1.finding import Finding
from kernelhealth_operator.policy import match
from kernelhealth_operator.policy.age import UPTIME
from kernelhealth_operator.policy.decision import Verdict
from kernelhealth_operator.policy.situation import Outbreak, Report, Situation, Treatment
from kernelhealth_operator.policy.tally import under_way

_AGAIN = timedelta(minutes=1)


def cause_of(finding: Finding) -> str:
    """Return what *finding* has in common with those of other nodes: its cause, else its reason."""
    return finding.cause or finding.reason


def onsets(findings: Iterable[Finding]) -> dict[str, datetime]:
    """Return for each cause of *findings* since when the first of them has been there."""
    found: dict[str, datetime] = {}
    for each in findings:
        if each.reason != UPTIME:
            cause = cause_of(each)
            found[cause] = min(each.since, found.get(cause, each.since))
    return found


def newly(before: Report | None, report: Report, now: datetime) -> dict[str, datetime]:
    """Return since when (UTC) the node has been ill of each cause in *report*.

    What was not in the report *before* is new: the node's clock does not matter. For what was there
    when it was first looked at, its own clock has to do, which can be ahead but never of now.
    """
    known = None if before is None or before.silent else onsets(before.findings)
    return {
        cause: now if known is not None and cause not in known else min(since, now)
        for cause, since in onsets(report.findings).items()
    }


def treated_for(treatment: Treatment) -> frozenset[str]:
    """Return the causes of what was found when *treatment* was opened."""
    found = onsets(treatment.status.evidence)
    return frozenset(found) or frozenset(treatment.spec.reasons) - {UPTIME}


def at_once(outbreak: Outbreak) -> int:
    """Return how many nodes may be treated at once for it: 1, then 2, then 4.

    One more for each node that was healed: so when all that were let through are well again, twice
    as many follow, and while none gets well it stays at one.
    """
    return 1 + outbreak.healed


def not_frozen(situation: Situation) -> Verdict:
    """Storm: many nodes fell ill of the same cause at once, which needs a person's look first."""
    for outbreak in _own(situation):
        if situation.now < outbreak.until:
            cooled = f"{outbreak.until:%Y-%m-%d %H:%M:%SZ}"
            what = (
                f"{frozen(outbreak)}; it is left alone until no other node has fallen ill of it for"
                f" {_cooldown(situation)}, which is at {cooled} at the earliest"
            )
            return Verdict.no("not_frozen", "Storm", what, outbreak.until)
    return Verdict.yes("not_frozen", "no storm of what the node has")


def paced(situation: Situation) -> Verdict:
    """StormAftermath: what was a storm is treated on few nodes first, and on more as they heal."""
    if under_way(situation.treatment):
        return Verdict.yes("paced", "the treatment has begun")
    for outbreak in _own(situation):
        most = at_once(outbreak)
        if outbreak.treated >= most:
            what = (
                f"after the storm of {outbreak.cause} no more than {most} nodes are treated for it"
                f" at once, twice as many whenever those are healed; {outbreak.ill} are ill"
            )
            again = situation.now + _AGAIN
            return Verdict.no("paced", "StormAftermath", what, again)
    return Verdict.yes("paced", "no storm of what the node has is just over")


def frozen(outbreak: Outbreak) -> str:
    """Return in words what has broken out; it changes only when a node falls ill or gets well."""
    return f"{outbreak.ill} nodes are ill of {outbreak.cause}, many of them all at once"


def _own(situation: Situation) -> tuple[Outbreak, ...]:
    """Return the outbreaks of what the node is treated for."""
    policy, report, treatment = situation.policy, situation.report, situation.treatment
    if not situation.outbreaks or policy is None or report is None or treatment is None:
        return ()
    rule = match.rule_named(policy, treatment.spec.rule)
    own = onsets(match.own(policy, rule, report)) if rule else {}
    return tuple(each for each in situation.outbreaks if each.cause in own)


def _cooldown(situation: Situation) -> str:
    policy = situation.policy
    lasting = policy.spec.disruption.storm_cooldown_duration if policy else timedelta(0)
    return duration.text(lasting)
