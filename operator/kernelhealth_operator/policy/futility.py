"""What was done in vain is not done again as it was, for as long as the node is as it was."""

from __future__ import annotations

from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.policy import match
from kernelhealth_operator.policy.age import UPTIME
from kernelhealth_operator.policy.decision import Verdict
from kernelhealth_operator.policy.situation import Situation, Treatment

_IN_VAIN = frozenset({Phase.INEFFECTIVE, Phase.FAILED})


def not_futile(situation: Situation) -> Verdict:
    """TriedInVain: the same actions did not help against the same findings, a person has to look.

    By the findings' own *since*, which a restart of the operator does not forget. What came later,
    and what the policy asks for otherwise by now, is worth another try.
    """
    name, last = "not_futile", _last(situation)
    if last is None or not _as_it_was(situation, last):
        return Verdict.yes(name, "what is to be done was not done in vain before")
    what = (
        f"NodeRemediation {last.name} did the same in vain, and the findings have been there since:"
        " look at the node; it is tried again when that NodeRemediation is deleted, or the actions"
        " of the rule are others"
    )
    return Verdict.no(name, "TriedInVain", what)


def _last(situation: Situation) -> Treatment | None:
    """Return the newest treatment of this very node, if it was in vain."""
    uid = situation.node.uid
    newest = next((each for each in situation.recent if each.spec.node_uid == uid), None)
    return newest if newest is not None and newest.status.phase in _IN_VAIN else None


def _as_it_was(situation: Situation, last: Treatment) -> bool:
    firing, ended = match.firing_now(situation), last.status.finished_at
    if firing is None or ended is None or firing.rule.actions != last.spec.plan:
        return False
    return all(
        each.reason in last.spec.reasons and each.reason != UPTIME and each.since <= ended
        for each in firing.evidence
    )
