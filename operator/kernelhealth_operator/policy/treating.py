"""A node with an open treatment: what comes next.

The stages are asked in order, and the first that has an answer decides. First what happened is
made to agree with what is written, then comes what people want, then whether anything may move at
all, and only then what the findings ask for.
"""

from __future__ import annotations

from collections.abc import Callable

from kernelhealth_api.v1alpha1.kernelhealthpolicy import Mode
from kernelhealth_api.v1alpha1.noderemediation import Decision as Said
from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.policy import (
    checks,
    ending,
    guards,
    healing,
    holding,
    match,
    opening,
    preventive,
    reprieve,
    rungs,
)
from kernelhealth_operator.policy.case import DONE, PENDING, REVERTING, RUNNING, Case
from kernelhealth_operator.policy.decision import Decision, Verdict
from kernelhealth_operator.policy.tally import under_way
from kernelhealth_operator.policy.target import confirm, target_of

Stage = Callable[[Case], Decision | None]


def treat(case: Case) -> Decision:
    """Decide about an open treatment."""
    for stage in STAGES:
        decision = stage(case)
        if decision is not None:
            return decision
    return healing.proceed(case)


def _replaced(case: Case) -> Decision | None:
    node = case.situation.node
    if node.uid == case.treatment.spec.node_uid:
        return None
    what = f"the Node that was treated is gone; {node.name} is another one of the same name"
    return Decision((ending.gone(case.treatment, f"NodeReplaced: {what}", case.situation.now),))


def _unwritten(case: Case) -> Decision | None:
    # The object was created, but the writer was stopped before it could write the status.
    if len(case.status.rungs) == len(case.treatment.spec.plan):
        return None
    status = opening.first_status(case.situation, case.treatment.spec)
    return Decision((case.write(**dict(status)),))


def _unrecorded(case: Case) -> Decision | None:
    # The node was changed, but that was not written: a lost reply, or a crash in between.
    target = target_of(case.situation.node)
    every = list(case.status.rungs)
    for index, remediation in case.marks():
        rung = every[index]
        if rung.state == PENDING and remediation.applied(target, case.treatment.name):
            every[index] = rung.model_copy(
                update={"state": DONE, "finished_at": case.situation.now, "message": ""}
            )
    if tuple(every) == case.status.rungs:
        return None
    phase = case.status.phase if under_way(case.treatment) else Phase.RUNNING
    # The mark may be older than it looks: the name of a treatment that was deleted is given again.
    sure = confirm(case.situation.node)
    return Decision((sure, case.write(rungs=tuple(every), phase=phase)))


def _given_back(case: Case) -> Decision | None:
    # Giving back was intended and has happened; see ending.py.
    if not case.having(REVERTING):
        return None
    target = target_of(case.situation.node)
    if any(each.applied(target, case.treatment.name) for _, each in case.known()):
        return None
    phase = Phase.SUCCEEDED if case.status.healthy_since else Phase.CANCELLED
    return ending.close(case, phase, case.status.message)


def _overruled(case: Case) -> Decision | None:
    target = target_of(case.situation.node)
    for index, remediation in case.marks():
        state = case.status.rungs[index].state
        if state not in {DONE, REVERTING} or remediation.done(target, case.treatment.name):
            continue
        if state == REVERTING:
            # A person was faster than we. Their word counts, so the intention is dropped first.
            return Decision((case.write(rungs=case.changed(REVERTING, to=DONE)),))
        what = f"a person undid the {remediation.name} of node {target.name}, which ends it"
        return ending.overrule(case, Verdict.no("not_overruled", "Overruled", what))
    return None


def _refused(case: Case) -> Decision | None:
    refusal = _refusal(case)
    if refusal is None:
        return None
    verdicts = guards.ask(case.situation, guards.ENDING)
    if no := guards.objection(verdicts):
        return holding.hold(case, verdicts, no)
    return ending.end(case, Phase.CANCELLED, refusal)


def _refusal(case: Case) -> Verdict | None:
    said = case.treatment.spec.decision
    if said in {Said.REJECTED, Said.CANCELLED}:
        what = f"a person set spec.decision of NodeRemediation {case.treatment.name} to {said}"
        return Verdict.no("not_refused", str(said), what)
    # None is opened on a node that is let be: this one was on its way when a person deleted it.
    let_be = reprieve.not_let_be(case.situation)
    return None if let_be.ok or said is Said.APPROVED else let_be


def _withdrawn(case: Case) -> Decision | None:
    why = _no_longer_wanted(case)
    if why is None:
        return None
    verdicts = guards.ask(case.situation, guards.WITHDRAWING)
    if no := guards.objection(verdicts):
        return holding.hold(case, verdicts, no)
    return ending.end(case, Phase.CANCELLED, why)


def _no_longer_wanted(case: Case) -> Verdict | None:
    spec, policy, rule = case.treatment.spec, case.situation.policy, case.rule
    opted_out = checks.not_opted_out(case.situation)
    if not opted_out.ok:
        return opted_out
    if policy is None or policy.name != spec.policy:
        what = f"policy {spec.policy} no longer governs the node"
    elif rule is None:
        what = f"policy {spec.policy} no longer has the rule {spec.rule}"
    elif match.mode(policy, rule) is Mode.OBSERVE:
        what = f"the mode of rule {spec.rule} of policy {spec.policy} is Observe now"
    else:
        return preventive.yields(case.situation)
    return Verdict.no("still_wanted", "PolicyChanged", what)


def _held(case: Case) -> Decision | None:
    verdicts = guards.ask(case.situation, guards.HOLDING)
    no = guards.objection(verdicts)
    if no is None:
        return None
    index = rungs.current(case)
    procedure = rungs.procedure_at(case, index)
    if (
        index is not None
        and procedure is not None
        and procedure.endures
        and case.status.rungs[index].state == RUNNING
        and no.check in {"report_current", "measured"}
    ):
        # That the node is mute for a while is part of what is done to it.
        return rungs.take(case, index, verdicts)
    return holding.hold(case, verdicts, no)


STAGES: tuple[Stage, ...] = (
    # The node is another one: there is nothing left to treat.
    _replaced,
    # Bring the record up to what has happened.
    _unwritten,
    _unrecorded,
    _given_back,
    # A person always wins, by deed
    _overruled,
    # or by word.
    _refused,
    # The policy may have changed its mind.
    _withdrawn,
    # Then, may anything move at all?
    _held,
)
