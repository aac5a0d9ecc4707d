"""A node without a treatment: whether to open one, and tidying up after one that vanished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kernelhealth_api.remediation import Remediation
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Mode
from kernelhealth_api.v1alpha1.noderemediation import (
    NodeRemediationSpec,
    NodeRemediationStatus,
    Phase,
    RungState,
)
from kernelhealth_operator.policy import checks, giving, guards, history, match, reprieve
from kernelhealth_operator.policy.case import PENDING
from kernelhealth_operator.policy.decision import (
    Announce,
    Decision,
    OpenRemediation,
    Step,
    Verdict,
)
from kernelhealth_operator.policy.situation import Policy, Situation, Treatment
from kernelhealth_operator.policy.target import target_of


def open_or_wait(situation: Situation, remediations: Mapping[str, Remediation[Any]]) -> Decision:
    """Decide about a node that has no open treatment."""
    if situation.node.marked_by:
        return _tidy(situation, situation.node.marked_by, remediations)
    if (faded := reprieve.faded(situation)) is not None:
        return faded
    verdicts = guards.ask(situation, guards.OPENING)
    if no := guards.objection(verdicts):
        moments = [each for each in (no.retry_at, reprieve.lasts_until(situation)) if each]
        waiting = _waiting_for(situation, no)
        return Decision((), verdicts, waiting, min(moments, default=None))
    firing = match.firing_now(situation)
    if firing is None or situation.policy is None:  # the chain has said no to both
        return Decision((), verdicts)
    spec = NodeRemediationSpec(
        node_name=situation.node.name,
        node_uid=situation.node.uid,
        policy=situation.policy.name,
        rule=firing.rule.name,
        reasons=firing.reasons[:32],
        boot_id=situation.node.boot_id,
        plan=firing.rule.actions,
    )
    return _open(situation, spec, match.mode(situation.policy, firing.rule), verdicts)


def first_status(situation: Situation, spec: NodeRemediationSpec) -> NodeRemediationStatus:
    """Return the status that a NodeRemediation starts with; nothing has been done yet."""
    policy, report = situation.policy, situation.report
    rule = match.rule_named(policy, spec.rule) if policy else None
    evidence = match.own(policy, rule, report) if policy and rule and report else ()
    proposed = policy is not None and rule is not None and _proposes(policy, spec)
    return NodeRemediationStatus(
        phase=Phase.PROPOSED if proposed else Phase.WAITING,
        rungs=tuple(RungState(action=name, state=PENDING) for step in spec.plan for name in step),
        evidence=evidence[:16],
    )


def _proposes(policy: Policy, spec: NodeRemediationSpec) -> bool:
    rule = match.rule_named(policy, spec.rule)
    return rule is not None and match.mode(policy, rule) is Mode.PROPOSE


def _open(
    situation: Situation, spec: NodeRemediationSpec, mode: Mode, verdicts: tuple[Verdict, ...]
) -> Decision:
    name = history.next_name(situation)
    status = first_status(situation, spec)
    opened = replace(situation, treatment=Treatment(name, "", situation.now, spec, status))
    acting = guards.ask(opened, guards.ACTING)
    no = guards.objection(acting)
    waiting = str(no) if no else None
    status = status.model_copy(update={"waiting_for": waiting})
    steps: list[Step] = [OpenRemediation(name, spec, status)]
    event = "RemediationProposed" if mode is Mode.PROPOSE else "RemediationOpened"
    stands = f"waits, {waiting}" if waiting else "begins, nothing is against it"
    what = f"{', '.join(spec.reasons)}: NodeRemediation {name} {stands}"
    steps.append(Announce("Normal", event, what))
    return Decision(tuple(steps), verdicts + acting, waiting, no.retry_at if no else None)


def _waiting_for(situation: Situation, no: Verdict) -> str | None:
    """Say what is waited for, but only where something would be done without that objection."""
    firing = match.firing_now(situation)
    if firing is None or situation.policy is None or no.check == "mode_acts":
        return None
    observing = match.mode(situation.policy, firing.rule) is Mode.OBSERVE
    return None if observing else str(no)


def _still_sick(situation: Situation) -> bool:
    """Whether a node that nothing helped is as it was, or nobody can tell that it is not."""
    policy, report = situation.policy, situation.report
    if report is None or not checks.report_current(situation).ok:
        return True
    # With its policy a node is returned, as it is from a treatment that is still open.
    return policy is not None and bool(match.unresolved(policy, report))


def _tidy(
    situation: Situation, owner: str, remediations: Mapping[str, Remediation[Any]]
) -> Decision:
    """Undo what the treatment *owner* left behind, which has ended or was deleted.

    By the order of its steps a treatment leaves nothing behind; but its object can be deleted by
    hand, and a patch whose reply was lost can arrive after everybody gave it up. The cordon is
    ours either way, and nobody else would end it. That the owner is merely absent from a cache is
    not enough.
    """
    last = next((each for each in situation.recent if each.name == owner), None)
    in_vain = last is not None and last.status.phase in {Phase.INEFFECTIVE, Phase.FAILED}
    if last is not None and in_vain and _still_sick(situation):
        return Decision((), (checks.no_leftover(situation),), last.status.message)
    ended = situation.owner_missing or last is not None
    verdicts = guards.ask(situation, guards.TIDYING)
    target = target_of(situation.node)
    if ended and not guards.objection(verdicts):
        for remediation in remediations.values():
            steps = giving.steps(target.name, remediation.revert(target, owner))
            if steps:
                what = f"NodeRemediation {owner}, by which it was changed, is no longer open"
                return Decision((*steps, Announce("Normal", remediation.undid, what)), verdicts)
    verdicts += (checks.no_leftover(situation),)
    return Decision((), verdicts, str(guards.objection(verdicts)))
