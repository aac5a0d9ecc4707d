"""The course of one reboot: asked for, begun, gone through, or not come about in time.

It is for one boot of the node, the one in which its treatment began, and for no other. That it has
happened is taken from the Node and from a report of its agent, never from what was asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from kernelhealth_api import duration
from kernelhealth_api.procedure import Await, Finished, GaveUp, Patient, Progress
from kernelhealth_api.v1alpha1.request import (
    HostAction,
    HostRequest,
    Rebooting,
    RebootMethod,
    RequestState,
)

LEAST: Final = timedelta(minutes=3)
"""What must be left of a window for a reboot to be begun in it."""
_CLOCKS = timedelta(minutes=1)
"""How far the node's clock, by which it keeps to a deadline, may be behind."""
_BEGIN_WITHIN = timedelta(minutes=5)
_TRIES = 3
"""How often it is asked for when the agent was too late each time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How it is to be done, and how long the node has to come back."""

    method: RebootMethod
    escalate: bool
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class Ask:
    """The agent is to be asked, under that id."""

    id: str
    method: RebootMethod


def outcome(patient: Patient, timeout: timedelta) -> Progress | None:
    """Return how it stands with the boot; None: it is still the one in which it all began."""
    before = patient.boot_at_start
    if before is None:
        what = "it is not known in which boot it began, so that a reboot might hit the wrong one"
        return GaveUp(what)
    if patient.boot_id is None:
        return Await("BootUnknown", "the Node does not say which boot it runs")
    if patient.boot_id == before and patient.report_boot_id in {None, before}:
        return None
    if patient.report_boot_id != patient.boot_id:
        return _half_back(patient, timeout)
    if not patient.rung.requests:
        return Finished(f"it was rebooted by somebody else: it runs boot {patient.boot_id} by now")
    return Finished(f"it was rebooted: boot {before} is over, it runs {patient.boot_id}")


def pending(patient: Patient, plan: Plan) -> Progress | Ask:
    """Return how to go on after the agent was asked, while the old boot still runs."""
    last = patient.rung.requests[-1]
    method = RebootMethod.FORCED if last.endswith("-forced") else plan.method
    asked, answer = patient.asked, patient.answer
    mine = answer if answer is not None and answer.id == last else None
    if mine is None and (asked is None or asked.id != last):
        # It was to be sent when somebody stopped us: under its id it is done once at most.
        return Ask(last, method)
    begun = patient.rung.stepped_at or patient.now
    deadline = asked.deadline if asked is not None and asked.id == last else begun + _BEGIN_WITHIN
    if mine is not None and mine.state in {RequestState.REFUSED, RequestState.FAILED}:
        late = mine.finished_at is not None and mine.finished_at >= deadline
        if late and len(patient.rung.requests) < _TRIES:
            return Ask(_next_id(patient, method), method)
        return _escalated(patient, plan, method, f"the agent says {mine.state}: {mine.message}")
    until = max(begun, deadline) + plan.timeout
    if patient.now < until:
        said = f" ({mine.state}: {mine.message})" if mine is not None else ""
        what = f"the node was asked to reboot ({method}){said}; it is awaited until"
        return Await("BootAwaited", f"{what} {until:%Y-%m-%d %H:%M:%SZ}", until)
    time = duration.text(plan.timeout)
    what = f"the node runs the same boot {time} after it was to have begun to reboot"
    return _escalated(patient, plan, method, what)


def _half_back(patient: Patient, timeout: timedelta) -> Progress:
    asked = patient.rung.stepped_at if patient.rung.requests else None
    until = None if asked is None else asked + _BEGIN_WITHIN + 2 * timeout
    if until is not None and until <= patient.now:
        return GaveUp(f"the node was rebooted, but is not back after {duration.text(timeout)}")
    heard = patient.report_boot_id or "none yet"
    what = f"the Node says it runs boot {patient.boot_id}, the report of its agent {heard}"
    return Await("BootAwaited", f"{what}: they have yet to agree", until)


def request(patient: Patient, ask: Ask, ends: datetime | None) -> HostRequest:
    """Return the request for this boot, to be begun before the window *ends*."""
    latest = patient.now + _BEGIN_WITHIN
    return HostRequest(
        id=ask.id,
        action=HostAction(reboot=Rebooting(method=ask.method)),
        boot_id=patient.boot_at_start or "",
        deadline=latest if ends is None else min(latest, ends - _CLOCKS),
    )


def _escalated(patient: Patient, plan: Plan, method: RebootMethod, why: str) -> GaveUp | Ask:
    if plan.escalate and method is not RebootMethod.FORCED:
        return Ask(_next_id(patient, RebootMethod.FORCED), RebootMethod.FORCED)
    return GaveUp(why)


def _next_id(patient: Patient, method: RebootMethod) -> str:
    number = len(patient.rung.requests) + 1
    end = "-forced" if method is RebootMethod.FORCED else ""
    return f"{patient.request_id}-reboot-{number}{end}"
