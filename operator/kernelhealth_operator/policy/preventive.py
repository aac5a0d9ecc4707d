"""Reboots for the age of a node: it is well, so they yield to everything and are never urgent."""

from __future__ import annotations

from datetime import timedelta

from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.policy import match
from kernelhealth_operator.policy.age import UPTIME
from kernelhealth_operator.policy.decision import Verdict
from kernelhealth_operator.policy.situation import Situation, Treatment

_LET_BE = timedelta(hours=24)
"""For how long a node is let be whose age a reboot was in vain for."""


def is_preventive(treatment: Treatment) -> bool:
    """Whether *treatment* is for the age of its node and nothing else."""
    return treatment.spec.reasons == (UPTIME,)


def not_in_vain(situation: Situation) -> Verdict:
    """TriedLately: the node was to be rebooted for its age, which did not come about."""
    name, firing = "not_in_vain", match.firing_now(situation)
    mine = (each for each in situation.recent if each.spec.node_uid == situation.node.uid)
    last = next((each for each in mine if is_preventive(each)), None)
    if firing is None or firing.reasons != (UPTIME,) or last is None:
        return Verdict.yes(name, "it was not tried in vain lately")
    ended = last.status.finished_at
    if last.status.phase not in {Phase.INEFFECTIVE, Phase.FAILED} or ended is None:
        return Verdict.yes(name, "it was not tried in vain lately")
    until = ended + _LET_BE
    if until <= situation.now:
        return Verdict.yes(name, "it is long ago that it was tried in vain")
    what = (
        f"NodeRemediation {last.name} was in vain; nothing is wrong with the node but its age, "
        f"so it is let be until {until:%Y-%m-%d %H:%M:%SZ}"
    )
    return Verdict.no(name, "TriedLately", what, until)


def yields(situation: Situation) -> Verdict | None:
    """FindingsFirst: a node that waits to be rebooted for its age has fallen ill by now."""
    treatment, firing = situation.treatment, match.firing_now(situation)
    if treatment is None or not is_preventive(treatment) or firing is None:
        return None
    begun = any(rung.started_at is not None for rung in treatment.status.rungs)
    if begun or UPTIME in firing.reasons:
        return None
    reasons = ", ".join(firing.reasons)
    what = f"rule {firing.rule.name} is to treat {reasons}, which comes before the node's age"
    return Verdict.no("still_wanted", "FindingsFirst", what)
