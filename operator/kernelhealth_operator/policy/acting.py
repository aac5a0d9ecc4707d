"""Taking the next action of a treatment, if the guards let it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from kernelhealth_api.remediation import PatchNode, Remediation, Settings
from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.policy import guards
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


@dataclass(frozen=True, slots=True)
class Plan:
    """A remediation and its validated settings."""

    remediation: Remediation[Any]
    settings: Settings


def act(case: Case, verdicts: Verdicts) -> Decision:
    """Take the first action that was not taken yet, or say why not."""
    index = next((i for i, rung in enumerate(case.status.rungs) if rung.state == PENDING), None)
    if index is None or not case.own:
        # What is left belongs to other rules: this one's actions were not meant for it.
        no = remaining(case)
        return hold(case, (*verdicts, no), no)
    verdicts += guards.ask(case.situation, guards.ACTING)
    if objection := guards.objection(verdicts):
        return hold(case, verdicts, objection, _waiting_phase(case, objection))
    plan = _prepared(case, index)
    if isinstance(plan, Verdict):
        return hold(case, (*verdicts, plan), plan, _waiting_phase(case, plan))
    target = target_of(case.situation.node)
    changes = plan.remediation.apply(target, case.treatment.name, plan.settings)
    # One change at a time: the next is made from how the node is afterwards.
    change = next(iter(changes), None)
    if change is None:
        return Decision(_adopt(case, index), verdicts)
    return Decision(_begin(case, index, change, plan.remediation.did), verdicts)


def _prepared(case: Case, index: int) -> Plan | Verdict:
    """Return the remediation at *index* of the plan with its settings, or why there is none."""
    ((name, given),) = case.treatment.spec.plan[index].items()
    remediation = case.remediations.get(name)
    if remediation is None:
        what = f"this operator knows no action {name}: does a newer one run beside it?"
        return Verdict.no("plan_known", "UnknownAction", what)
    try:
        return Plan(remediation, remediation.settings.model_validate(given))
    except ValidationError as error:
        what = f"the parameters of {name} are refused: {error.errors()[0]['msg']}"
        return Verdict.no("plan_known", "UnknownAction", what)


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
    rungs = list(case.status.rungs)
    rungs[index] = rungs[index].model_copy(
        update={
            "state": state,
            "started_at": rungs[index].started_at or now,
            "finished_at": now if state == DONE else None,
            "message": message,
        }
    )
    return case.write(
        phase=Phase.RUNNING,
        started_at=case.status.started_at or now,
        rungs=tuple(rungs),
        waiting_for=None,
        message="",
    )
