"""Whether the next action may disturb anybody yet, seen together with those that follow.

A node is not drained on Monday for a reboot on Saturday: what evicts pods waits for the same as
the reboot after it. What keeps new pods away from a sick node does not wait; where nothing is wrong
with a node but its age, everything does.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from kernelhealth_api.remediation import DisruptionLevel, Remediation
from kernelhealth_operator.policy import foreign, preventive, rungs, windows
from kernelhealth_operator.policy.case import PENDING, Case
from kernelhealth_operator.policy.decision import Verdict
from kernelhealth_operator.policy.patient import patient_of

Verdicts = tuple[Verdict, ...]


def ask(case: Case, index: int, verdicts: Verdicts) -> Verdicts:
    """Return *verdicts* on the action at *index*, with the one on its time where that is no.

    It comes before the wait for room, which nobody shall wait for who could not use it; but a
    person's approval can be asked for at any time.
    """
    before = [each for each in verdicts if each.ok]
    last = verdicts[-1] if verdicts and not verdicts[-1].ok else None
    if last is not None and last.check == "approved":
        return verdicts
    no = _closed(case, index)
    if no is None and last is not None and last.retry_at is None and _is_gated(case, index):
        # Whoever waits for room in a window looks again when it closes: then it waits for the next.
        no = replace(last, retry_at=_closing(case))
    return verdicts if no is None else (*before, no)


def _is_gated(case: Case, index: int) -> bool:
    return any(
        each.procedure is not None and each.procedure.waits is not None
        for place, each in case.known()
        if place >= index
    )


def _closing(case: Case) -> datetime | None:
    policy, now = case.situation.policy, case.situation.now
    return None if policy is None else windows.until_of(policy.spec.maintenance_windows, now)


def _closed(case: Case, index: int) -> Verdict | None:
    known = dict(case.known())
    acting = known.get(index)
    if acting is None or case.status.rungs[index].state != PENDING:
        return None
    disturbs = acting.disruption >= DisruptionLevel.EVICTION
    if disturbs and not (alone := foreign.cordoned_by_nobody_else(case.situation)).ok:
        return alone
    if not disturbs and not preventive.is_preventive(case.treatment):
        return None
    for later in sorted(place for place in known if place >= index):
        no = _waits(case, later, known[later], early=later > index)
        if no is not None:
            return no
    return None


def _waits(case: Case, index: int, remediation: Remediation[Any], *, early: bool) -> Verdict | None:
    procedure = remediation.procedure
    if procedure is None or procedure.waits is None or case.status.rungs[index].state != PENDING:
        return None
    if (unfit := rungs.prepared(case, index)) is not None:
        return unfit
    (given,) = case.treatment.spec.plan[index].values()
    settings = remediation.settings.model_validate(given)
    wait = procedure.waits(patient_of(case, index), settings, early)
    if wait is None:
        return None
    until = wait.retry_at
    return replace(Verdict.no("in_time", wait.reason, wait.message, until), expected=until)
