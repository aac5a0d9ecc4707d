"""The rungs of a plan that take their time: how each goes on, and when the next one follows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from kernelhealth_api.procedure import (
    AskAgent,
    Await,
    Finished,
    GaveUp,
    PatchNode,
    Patient,
    Procedure,
    Proceed,
)
from kernelhealth_api.remediation import Remediation
from kernelhealth_api.v1alpha1.noderemediation import Phase, RungState
from kernelhealth_operator.policy.case import DONE, FAILED, PENDING, RUNNING, SKIPPED, Case
from kernelhealth_operator.policy.decision import (
    Announce,
    ChangeNode,
    Decision,
    Do,
    SetStatus,
    Step,
    Verdict,
)
from kernelhealth_operator.policy.holding import hold
from kernelhealth_operator.policy.patient import patient_of

Verdicts = tuple[Verdict, ...]


def current(case: Case) -> int | None:
    """Return the place of the first rung that is not over; None when all are."""
    states = (rung.state for rung in case.status.rungs)
    return next((i for i, state in enumerate(states) if state in {PENDING, RUNNING}), None)


def procedure_at(case: Case, index: int | None) -> Procedure[Any] | None:
    """Return the procedure of the rung at that place, if it is one."""
    remediation = _at(case, index)
    return None if remediation is None else remediation.procedure


def settling(case: Case) -> Verdict | None:
    """Verifying: the last rung may still help, and the next one waits for that."""
    index = current(case)
    last = (len(case.status.rungs) if index is None else index) - 1
    if last < 0 or (index is not None and case.status.rungs[index].state == RUNNING):
        return None
    until = _settled_at(case, last)
    if until is None or until <= case.situation.now:
        return None
    action = case.status.rungs[last].action
    what = f"{action} was done; whether it helped is awaited until {until:%Y-%m-%d %H:%M:%SZ}"
    return Verdict.no("settled", "Verifying", what, until)


def exhausted(case: Case) -> bool:
    """Whether all was done that might have healed the node, and did not."""
    if current(case) is not None:
        return False
    procedures = (procedure_at(case, index) for index in range(len(case.status.rungs)))
    return any(procedure is not None and procedure.heals for procedure in procedures)


def take(case: Case, index: int, verdicts: Verdicts) -> Decision:
    """Take the next step of the procedure at *index*; its settings were looked at before."""
    remediation = _at(case, index)
    procedure = None if remediation is None else remediation.procedure
    if remediation is None or procedure is None:
        return Decision((), verdicts)
    settings = _settings(case, index, remediation)
    patient = patient_of(case, index)
    paths = procedure.reads(patient, settings)
    if any(path not in patient.read for path in paths):
        return Decision((), verdicts, case.status.waiting_for, reads=paths)
    progress = procedure.advance(patient, settings)
    match progress:
        case Proceed(effects, message, retry_at):
            steps = _steps(case, index, patient, effects, message)
            told = () if case.status.rungs[index].started_at else (_told(case, remediation),)
            return Decision((*steps, *told), verdicts, message, retry_at)
        case Await(reason, message, retry_at):
            no = Verdict.no("advanced", reason, message, retry_at)
            return hold(case, (*verdicts, no), no, Phase.RUNNING if _begun(case) else None)
        case Finished(message):
            return Decision((_over(case, index, DONE, message),), verdicts)
        case GaveUp(message, quietly):
            over = _over(case, index, SKIPPED if quietly else FAILED, message)
            told = () if quietly else (Announce("Warning", "RemediationActionFailed", message),)
            return Decision((over, *told), verdicts)


def prepared(case: Case, index: int) -> Verdict | None:
    """UnknownAction: the action at *index* is not known here, or its parameters are refused."""
    ((name, given),) = case.treatment.spec.plan[index].items()
    remediation = case.remediations.get(name)
    if remediation is None:
        what = f"this operator knows no action {name}: does a newer one run beside it?"
        return Verdict.no("plan_known", "UnknownAction", what)
    try:
        remediation.settings.model_validate(given)
    except ValidationError as error:
        what = f"the parameters of {name} are refused: {error.errors()[0]['msg']}"
        return Verdict.no("plan_known", "UnknownAction", what)
    return None


def _at(case: Case, index: int | None) -> Remediation[Any] | None:
    return None if index is None else dict(case.known()).get(index)


def _settings(case: Case, index: int, remediation: Remediation[Any]) -> Any:
    (given,) = case.treatment.spec.plan[index].values()
    return remediation.settings.model_validate(given)


def _settled_at(case: Case, index: int) -> datetime | None:
    remediation, rung = _at(case, index), case.status.rungs[index]
    if remediation is None or remediation.procedure is None or rung.state != DONE:
        return None
    if rung.finished_at is None or prepared(case, index) is not None:
        return None
    return rung.finished_at + remediation.procedure.settle(_settings(case, index, remediation))


def _begun(case: Case) -> bool:
    return any(rung.started_at is not None for rung in case.status.rungs)


def _steps(
    case: Case, index: int, patient: Patient, effects: tuple[Any, ...], message: str
) -> tuple[Step, ...]:
    """Write that it goes on, then do it: the first is refused should the treatment have moved."""
    asked = [e.request.id for e in effects if isinstance(e, AskAgent)]
    rung = case.status.rungs[index]
    requests = (*rung.requests, *(one for one in asked if one not in rung.requests))
    written = _changed(case, index, state=RUNNING, message=message, requests=requests[-16:])
    return (
        written,
        *(
            ChangeNode(effect) if isinstance(effect, PatchNode) else Do(patient.name, effect)
            for effect in effects
        ),
    )


def _over(case: Case, index: int, state: str, message: str) -> SetStatus:
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


def _told(case: Case, remediation: Remediation[Any]) -> Announce:
    spec = case.treatment.spec
    what = (
        f"{', '.join(spec.reasons)}: rule {spec.rule} of policy {spec.policy} asks for it, "
        f"NodeRemediation {case.treatment.name} follows it up"
    )
    return Announce("Normal", remediation.did, what)
