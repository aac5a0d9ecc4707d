"""What is written down of an action that takes its time, before and after each step."""

from __future__ import annotations

from typing import Any

from kernelhealth_api.procedure import AskAgent, PatchNode, Patient
from kernelhealth_api.remediation import Remediation
from kernelhealth_api.v1alpha1.noderemediation import Phase, RungState
from kernelhealth_operator.policy.case import RUNNING, Case
from kernelhealth_operator.policy.decision import Announce, ChangeNode, Do, SetStatus, Step


def steps(
    case: Case, index: int, patient: Patient, effects: tuple[Any, ...], message: str
) -> tuple[Step, ...]:
    """Write that it goes on, then do it: the first is refused should the treatment have moved."""
    asked = [e.request.id for e in effects if isinstance(e, AskAgent)]
    rung = case.status.rungs[index]
    requests = (*rung.requests, *(one for one in asked if one not in rung.requests))
    changes = {"state": RUNNING, "message": message, "requests": requests[-16:]}
    written = _changed(
        case, index, **changes | ({"stepped_at": case.situation.now} if effects else {})
    )
    return (
        written,
        *(
            ChangeNode(effect) if isinstance(effect, PatchNode) else Do(patient.name, effect)
            for effect in effects
        ),
    )


def over(case: Case, index: int, state: str, message: str) -> SetStatus:
    """Return the step that writes that the action at *index* is over, in *state*."""
    return _changed(case, index, state=state, message=message, finished_at=case.situation.now)


def _changed(case: Case, index: int, **changes: object) -> SetStatus:
    now, rungs = case.situation.now, list(case.status.rungs)
    begun = rungs[index].started_at or now
    rungs[index] = RungState.model_validate(
        rungs[index].model_dump(by_alias=False) | {"started_at": begun} | changes
    )
    return case.write(
        phase=Phase.RUNNING,
        started_at=case.status.started_at or now,
        rungs=tuple(rungs),
        waiting_for=None,
        message="",
    )


def told(case: Case, remediation: Remediation[Any]) -> Announce:
    """Return the Event that says that *remediation* begins, and why."""
    spec = case.treatment.spec
    what = (
        f"{', '.join(spec.reasons)}: rule {spec.rule} of policy {spec.policy} asks for it, "
        f"NodeRemediation {case.treatment.name} follows it up"
    )
    return Announce("Normal", remediation.did, what)
