"""What the operator wants of a NodeKernelHealth, against what it has: pure comparisons."""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from kernelhealth_api.duration import text
from kernelhealth_api.v1alpha1.nodekernelhealth import (
    Health,
    NodeKernelHealthSpec,
    RemediationState,
)
from kernelhealth_operator.cluster.views import NodeView
from kernelhealth_operator.held import HealthView, Reading
from kernelhealth_operator.policy.decision import Decision
from kernelhealth_operator.policy.situation import Policy, Treatment
from kernelhealth_operator.silence import AGENT_SILENT, marked


def spec(policy: Policy | None) -> NodeKernelHealthSpec:
    """The spec of each node that *policy* governs."""
    if policy is None:
        return NodeKernelHealthSpec()
    # An empty map says nothing, and is never applied: see writes.
    thresholds = {key: fields for key, fields in policy.spec.detectors.items() if fields}
    return NodeKernelHealthSpec(policy=policy.name, detectors=thresholds)


def wire(wanted: NodeKernelHealthSpec) -> dict[str, Any]:
    """The spec as it is applied: what is empty is left out."""
    whole = wanted.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {key: value for key, value in whole.items() if value}


def foreign(node: NodeView, health: HealthView | None) -> bool:
    """Whether the object belongs to an earlier node of that name; garbage collection takes it."""
    return health is not None and health.owner_uid not in {None, node.uid}


def outdated(node: NodeView, health: HealthView | None, wanted: NodeKernelHealthSpec) -> bool:
    """Whether the object must be created, adopted, or given another spec."""
    if health is None or health.owner_uid != node.uid:
        return True
    # What the agent is asked for is written by itself, and kept current by itself.
    return health.spec.model_copy(update={"request": None}) != wanted


def forgotten(health: HealthView | None, treatment: Treatment | None) -> bool:
    """Whether the agent is asked for something that no open treatment waits for any more."""
    if health is None or health.spec.request is None:
        return False
    if treatment is None or treatment.status.phase.final:
        return True
    asked = (rung.requests for rung in treatment.status.rungs if rung.state == "Running")
    return not any(health.spec.request.id in requests[-1:] for requests in asked)


def lost(node: NodeView, health: HealthView | None, *known: Container[str]) -> str | None:
    """The treatment that was open when the object was written last, and that nobody knows of.

    So somebody deleted it before it had ended, or no cache has it yet.
    """
    if health is None or health.remediation is None or foreign(node, health):
        return None
    name = health.remediation.name
    return None if any(name in each for each in known) else name


def remediation(treatment: Treatment | None, decision: Decision) -> RemediationState | None:
    """Where the treatment of a node stands."""
    if treatment is None or treatment.status.phase.final:
        return None
    waiting = decision.waiting_for or treatment.status.waiting_for
    return RemediationState(
        name=treatment.name, phase=treatment.status.phase.value, waiting_for=waiting
    )


def status(
    health: HealthView, state: RemediationState | None, silence: float | None, now: datetime
) -> Mapping[str, Any] | None:
    """The operator's part of the status, None where the object has it already.

    *silence* is after how many seconds the agent counted as silent, None if it does not. Then
    health, problems and conditions are the operator's, until the agent applies its own again; so
    whatever is wanted is always applied whole: what an apply leaves out, it gives up.
    """
    if silence is None:
        if health.remediation == state and not marked(health):
            return None
    elif health.remediation == state and _says_silent(health):
        return None
    wanted: dict[str, Any] = {}
    if state is not None:
        wanted["remediation"] = state.model_dump(mode="json", by_alias=True, exclude_none=True)
    if silence is not None:
        wanted |= _silent_status(health, silence, now)
    return wanted


def _says_silent(health: HealthView) -> bool:
    return (
        health.health is Health.UNKNOWN
        and health.problems.startswith(AGENT_SILENT)
        and all(one.reason == AGENT_SILENT for one in health.readings)
    )


def _silent_status(health: HealthView, silence: float, now: datetime) -> dict[str, Any]:
    conditions = [_silent_condition(one, silence, now) for one in health.readings]
    wanted: dict[str, Any] = {"health": Health.UNKNOWN.value, "problems": AGENT_SILENT}
    return wanted | ({"conditions": conditions} if conditions else {})


def _silent_condition(reading: Reading, silence: float, now: datetime) -> dict[str, str]:
    moved = reading.changed if reading.status == "Unknown" else now
    return {
        "type": reading.type,
        "status": "Unknown",
        "reason": AGENT_SILENT,
        "message": f"The node's agent has not reported for {length(silence)} or longer.",
        "lastTransitionTime": moved.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def length(seconds: float) -> str:
    """A number of seconds as people write it: ``30m``."""
    return text(timedelta(seconds=round(seconds)))
