"""Asking a node's agent for catalogued cures, one after the other."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta

from kernelhealth_api.cures import Stage, named
from kernelhealth_api.procedure import AskAgent, Await, Finished, GaveUp, Patient, Proceed, Progress
from kernelhealth_api.v1alpha1.request import Fixing, HostAction, HostRequest, RequestStatus

_BEGIN_WITHIN = timedelta(minutes=5)
"""How long a request may wait on the node until it is begun; then the agent refuses it."""
_MARGIN = timedelta(minutes=5)
"""How much later than that an answer may come: clocks drift, and a cure takes its time."""
_LOOK_AGAIN = timedelta(seconds=30)
_ASKED = "the agent is asked for "


def advance(patient: Patient, stage: Stage, risky: Collection[str]) -> Progress:
    """Go on with asking for every cure of *stage* that the findings name.

    Those that may do harm are asked for only if they are in *risky*, where the policy names them.
    """
    cures = [cure for cure in patient.cures if _is_meant(cure, stage, risky)]
    if not cures and not patient.rung.requests:
        return GaveUp(_why_none(patient, stage, risky), quietly=True)
    if patient.boot_id is None:
        return Await("BootUnknown", "the Node does not say which boot it runs")
    last = patient.rung.requests[-1] if patient.rung.requests else None
    if last is not None and (waiting := _waiting(patient, last)) is not None:
        return waiting
    done = [cure for cure in cures if _id(patient, cure) in patient.rung.requests]
    left = [cure for cure in cures if cure not in done]
    if left:
        return _ask(patient, stage, left[0])
    return Finished(_outcome(patient, last))


def awaited(patient: Patient) -> Await | None:
    """Return what is waited for while the agent has not answered to the last request yet."""
    last = patient.rung.requests[-1] if patient.rung.requests else None
    waiting = None if last is None else _waiting(patient, last)
    return waiting if isinstance(waiting, Await) else None


def _is_meant(cure: str, stage: Stage, risky: Collection[str]) -> bool:
    known = named(cure)
    return known is not None and known.stage is stage and (not known.risky or cure in risky)


def _why_none(patient: Patient, stage: Stage, risky: Collection[str]) -> str:
    dangerous = [cure for cure in patient.cures if _is_meant(cure, stage, {*risky, cure})]
    if dangerous:
        names = ", ".join(dangerous)
        return f"{names} might help, but is only done where a policy names it in {stage}.fixes"
    return f"no finding names a cure of the kind {stage}"


def _waiting(patient: Patient, last: str) -> Progress | None:
    """Return what to wait for while the request *last* is open; None when it is over."""
    answer, asked = patient.answer, patient.asked
    if answer is not None and answer.id == last and answer.state.final:
        return None
    if asked is None or asked.id != last:
        # It was to be sent when somebody stopped us: sending it again changes nothing.
        cure = next((c for c in patient.cures if _id(patient, c) == last), None)
        known = named(cure) if cure else None
        return None if known is None or cure is None else _ask(patient, known.stage, cure)
    if patient.now > asked.deadline + _MARGIN:
        return None
    said = f": {answer.message}" if answer is not None and answer.id == last else ""
    again = min(patient.now + _LOOK_AGAIN, asked.deadline + _MARGIN)
    return Await("AgentAsked", f"the node's agent was asked for {last}{said}", again)


def _ask(patient: Patient, stage: Stage, cure: str) -> Proceed:
    reasons = tuple(dict.fromkeys(f.reason for f in patient.findings if cure in f.cures))
    fixing = Fixing(fix=cure, reasons=reasons[:32])
    config = stage is Stage.FIX_CONFIG
    request = HostRequest(
        id=_id(patient, cure),
        action=HostAction(fix_config=fixing) if config else HostAction(reclaim=fixing),
        boot_id=patient.boot_id or "",
        deadline=patient.now + _BEGIN_WITHIN,
    )
    return Proceed((AskAgent(request),), _asked(patient, request.id, cure))


def _asked(patient: Patient, request_id: str, cure: str) -> str:
    rung = patient.rung
    if request_id in rung.requests and rung.message:
        return rung.message  # It is only sent again.
    before = summed(rung.message, patient.answer) if rung.requests else ""
    return f"{before}{'; ' if before else ''}{_ASKED}{cure}"


def summed(before: str, answer: RequestStatus | None) -> str:
    """Return what the agent answered to one request after the other; *before* was said so far."""
    told = "" if answer is None else f"{answer.state}: {answer.message}"
    return f"{before.rpartition(_ASKED)[0]}{told}"


def _outcome(patient: Patient, last: str | None) -> str:
    answer = patient.answer
    if answer is None or answer.id != last:
        earlier = summed(patient.rung.message, None)
        return f"{earlier}the agent did not answer to {last} in time"
    return summed(patient.rung.message, answer)


def _id(patient: Patient, cure: str) -> str:
    words = re.findall("[A-Z][a-z0-9]*", cure)
    return f"{patient.request_id}-{'-'.join(words).lower()}"
