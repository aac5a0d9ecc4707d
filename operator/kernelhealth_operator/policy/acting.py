"""Taking the next action of a treatment, if the guards let it."""

from __future__ import annotations

from dataclasses import replace

from kernelhealth_api.procedure import PatchNode
from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.policy import ending, foresight, gate, guards, rungs
from kernelhealth_operator.policy.case import DONE, PENDING, Case
from kernelhealth_operator.policy.decision import (
    Announce,
    ChangeNode,
    Decision,
    SetStatus,
    Step,
    Verdict,
)
from kernelhealth_operator.policy.holding import hold, remaining
from kernelhealth_operator.policy.tally import under_way
from kernelhealth_operator.policy.target import confirm, target_of

Verdicts = tuple[Verdict, ...]


def act(case: Case, verdicts: Verdicts) -> Decision:
    """Take the next step of the first action that is not over, or say why not."""
    if (wait := rungs.settling(case)) is not None:
        return hold(case, (*verdicts, wait), wait)
    index = rungs.current(case)
    if index is None and rungs.exhausted(case):
        return ending.give_up(case, verdicts)
    if index is None or not case.own:
        # What is left belongs to other rules: this one's actions were not meant for it.
        no = remaining(case)
        return hold(case, (*verdicts, no), no)
    verdicts = gate.ask(case, index, (*verdicts, *guards.ask(case.situation, guards.ACTING)))
    objection = guards.objection(verdicts) or rungs.prepared(case, index)
    if objection:
        verdicts = verdicts if objection in verdicts else (*verdicts, objection)
        held = hold(case, verdicts, objection, _waiting_phase(case, objection))
        return foresight.foresee(case, held)
    if rungs.procedure_at(case, index) is not None:
        return rungs.take(case, index, verdicts)
    return _mark(case, index, verdicts)


def _mark(case: Case, index: int, verdicts: Verdicts) -> Decision:
    ((name, given),) = case.treatment.spec.plan[index].items()
    remediation = case.remediations[name]
    settings = remediation.settings.model_validate(given)
    target = replace(target_of(case.situation.node), reason=case.treatment.spec.reasons[0])
    # One change at a time: the next is made from how the node is afterwards.
    change = next(iter(remediation.apply(target, case.treatment.name, settings)), None)
    if change is None:
        return Decision(_adopt(case, index), verdicts)
    return Decision(_begin(case, index, change, remediation.did), verdicts)


def _waiting_phase(case: Case, no: Verdict) -> Phase:
    if under_way(case.treatment):
        return case.status.phase
    return Phase.PROPOSED if no.check == "approved" else Phase.WAITING


def _begin(case: Case, index: int, change: PatchNode, event: str) -> tuple[Step, ...]:
    """Write that it begins, which takes up room in the budget, then change the node.

    That it is done is written by the next decision, when the node is seen to be changed. Without
    the second step the next decision asks the guards again and comes here again; the first then
    changes nothing, but is refused if the treatment has moved on since it was looked at.
    """
    spec = case.treatment.spec
    what = (
        f"{', '.join(spec.reasons)}: rule {spec.rule} of policy {spec.policy} asks for it, "
        f"NodeRemediation {case.treatment.name} follows it up"
    )
    return (
        _running(case, index, PENDING, ""),
        ChangeNode(change),
        Announce("Normal", event, what),
    )


def _adopt(case: Case, index: int) -> tuple[Step, ...]:
    """Write that there is nothing to do, because somebody else has done it; it stays theirs."""
    written = _running(case, index, DONE, "it was so already, and stays so afterwards")
    status = written.status.model_copy(update={"was_unschedulable": True})
    adopted = SetStatus(written.name, written.resource_version, status)
    return (confirm(case.situation.node), adopted)


def _running(case: Case, index: int, state: str, message: str) -> SetStatus:
    now = case.situation.now
    every = list(case.status.rungs)
    every[index] = every[index].model_copy(
        update={
            "state": state,
            "started_at": every[index].started_at or now,
            "finished_at": now if state == DONE else None,
            "message": message,
        }
    )
    return case.write(
        phase=Phase.RUNNING,
        started_at=case.status.started_at or now,
        rungs=tuple(every),
        waiting_for=None,
        message="",
    )
