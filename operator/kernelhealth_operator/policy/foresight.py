"""What would come of a treatment, told while it waits for a person or for room."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from kernelhealth_api.procedure import Procedure
from kernelhealth_api.remediation import Remediation
from kernelhealth_api.v1alpha1.noderemediation import Preview
from kernelhealth_operator.policy import rungs
from kernelhealth_operator.policy.case import Case
from kernelhealth_operator.policy.decision import Decision, SetStatus
from kernelhealth_operator.policy.patient import patient_of
from kernelhealth_operator.policy.tally import under_way

RENEW = timedelta(minutes=10)
"""After how long a preview is made anew: what it says of pods and budgets moves all the time."""


def foresee(case: Case, held: Decision) -> Decision:
    """Return *held*, by which the treatment waits, with a preview where one is due."""
    found = _foreseen(case)
    if found is None or under_way(case.treatment):
        return held
    before, now = case.status.preview, case.situation.now
    if before is not None and now < before.as_of + RENEW:
        due = before.as_of + RENEW
        return replace(held, due=due if held.due is None else min(due, held.due))
    index, remediation, procedure = found
    ((_, given),) = case.treatment.spec.plan[index].items()
    patient, settings = patient_of(case, index), remediation.settings.model_validate(given)
    paths = (*procedure.reads(patient, settings), *procedure.foresees(patient, settings))
    if any(path not in patient.read for path in paths):
        return replace(held, reads=paths)
    preview = procedure.preview(patient, settings) if procedure.preview else None
    return held if preview is None else _with(case, held, preview)


def _foreseen(case: Case) -> tuple[int, Remediation[Any], Procedure[Any]] | None:
    """Return the first action that can be foreseen: its place, and what it is."""
    for index, each in case.known():
        procedure = each.procedure
        if procedure and procedure.preview and rungs.prepared(case, index) is None:
            return index, each, procedure
    return None


def _with(case: Case, held: Decision, preview: Preview) -> Decision:
    waiting = next((step.status for step in held.steps if isinstance(step, SetStatus)), case.status)
    status = waiting.model_copy(update={"preview": preview})
    step = SetStatus(case.treatment.name, case.treatment.resource_version, status)
    return replace(held, steps=(step,))
