"""The rungs of a plan that take their time: how each goes on, and when the next one follows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from kernelhealth_api.procedure import (
    Await,
    Finished,
    GaveUp,
    Procedure,
    Proceed,
)
from kernelhealth_api.remediation import DisruptionLevel, Remediation
from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.policy import asking, ending, record
from kernelhealth_operator.policy.case import DONE, FAILED, PENDING, RUNNING, SKIPPED, Case
from kernelhealth_operator.policy.decision import (
    Announce,
    ChangeNode,
    Decision,
    Do,
    Verdict,
)
from kernelhealth_operator.policy.holding import hold
from kernelhealth_operator.policy.patient import patient_of

Verdicts = tuple[Verdict, ...]

_BEFORE_IT_BEGINS = frozenset({"MaintenanceWindow", "NoWindow", "KuredLock"})
"""Reasons for which something waits that is yet to be done, or to be done once more."""
_READ_AGAIN = timedelta(seconds=30)
"""When to try again should one reading have led to the next without an end."""


def current(case: Case) -> int | None:
    """Return the place of the first rung that is not over; None when all are."""
    states = (rung.state for rung in case.status.rungs)
    return next((i for i, state in enumerate(states) if state in {PENDING, RUNNING}), None)


def procedure_at(case: Case, index: int | None) -> Procedure[Any] | None:
    """Return the procedure of the rung at that place, if it is one."""
    remediation = _at(case, index)
    return None if remediation is None else remediation.procedure


def settling(case: Case) -> Verdict | None:
    """Verifying: the last rung may still help, and the next one waits for that.

    One that costs the workloads nothing does not wait: what a fix has stopped stays leaked.
    """
    index = current(case)
    following = _at(case, index)
    if following is not None and following.disruption is DisruptionLevel.NONE:
        return None
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
        due = case.situation.now + _READ_AGAIN
        return Decision((), verdicts, case.status.waiting_for, due, reads=paths)
    progress = procedure.advance(patient, settings)
    match progress:
        case Proceed(effects, message, retry_at):
            steps = record.steps(case, index, patient, effects, message)
            told = () if case.status.rungs[index].started_at else (record.told(case, remediation),)
            return Decision((*steps, *told), verdicts, message, retry_at)
        case Await(reason, message, retry_at):
            no = Verdict.no("advanced", reason, message, retry_at)
            return hold(case, (*verdicts, no), no, Phase.RUNNING if _begun(case) else None)
        case Finished(message):
            what = f"{remediation.name}: {message}"
            done = Announce("Normal", "RemediationActionDone", what)
            return Decision((record.over(case, index, DONE, message), done), verdicts)
        case GaveUp():
            return _given_up(case, index, progress, verdicts)


def _given_up(case: Case, index: int, why: GaveUp, verdicts: Verdicts) -> Decision:
    over = record.over(case, index, SKIPPED if why.quietly else FAILED, why.message)
    if why.stops:
        return ending.fail(case, over, why.message)
    told = Announce("Warning", "RemediationActionFailed", why.message)
    return Decision((over,) if why.quietly else (over, told), verdicts)


def going_on(case: Case, verdicts: Verdicts) -> Decision | None:
    """Return the next step of what is seen through even though the findings may be gone by now.

    A reboot that was asked for is one; should something have to be done for it once more, or be
    waited for until it may be, that is decided like everything that is done.
    """
    index = current(case)
    procedure = procedure_at(case, index)
    if index is None or procedure is None or not procedure.endures:
        return None
    if case.status.rungs[index].state != RUNNING or not case.status.rungs[index].requests:
        return None
    if prepared(case, index) is not None:
        return None
    decision = take(case, index, verdicts)
    does = any(isinstance(step, ChangeNode | Do) for step in decision.steps)
    would = bool(decision.verdicts) and decision.verdicts[-1].reason in _BEFORE_IT_BEGINS
    return None if does or would else decision


def at_work(case: Case) -> Verdict | None:
    """AgentAsked: the node's agent was asked for something and has not answered yet."""
    index = current(case)
    if index is None or case.status.rungs[index].state != RUNNING:
        return None
    open_ = asking.awaited(patient_of(case, index))
    if open_ is None:
        return None
    return Verdict.no("settled", open_.reason, open_.message, open_.retry_at)


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
