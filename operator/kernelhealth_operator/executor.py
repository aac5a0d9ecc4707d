"""Carries out decisions: in order, each step fenced and bound to the version it was decided on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel

from kernelhealth_api.v1alpha1.noderemediation import NodeRemediationStatus, Phase
from kernelhealth_operator.answers import Answers
from kernelhealth_operator.cluster.errors import Conflict, NotFound
from kernelhealth_operator.effects import Effects
from kernelhealth_operator.events import Announcer, Notice
from kernelhealth_operator.outcomes import Outcomes
from kernelhealth_operator.policy.decision import (
    Announce,
    ChangeNode,
    Decision,
    Do,
    OpenRemediation,
    SetStatus,
    Step,
)
from kernelhealth_operator.writes import Writes

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subject:
    """The Node that a decision is about; it may be gone."""

    name: str
    uid: str


class Executing(Protocol):
    """Whoever takes decisions and carries them out, or does as if."""

    async def execute(self, node: Subject, decision: Decision, now: datetime) -> bool:
        """Carries out the steps; returns whether to decide anew at once."""


@dataclass(frozen=True, slots=True)
class Executor:
    """Writes. What the API server answers is folded in before the next step."""

    writes: Writes
    answers: Answers
    announcer: Announcer
    effects: Effects
    outcomes: Outcomes = field(default_factory=Outcomes)

    async def execute(self, node: Subject, decision: Decision, now: datetime) -> bool:
        """Carries out the steps; raises ``ApiError`` and ``NotLeader``.

        On a conflict the rest is dropped: it rested on a state that is no more. What was in
        conflict is read again, so that the next decision is made from what is true.
        """
        for step in decision.steps:
            try:
                await self._step(node, step, now)
            except (Conflict, NotFound) as error:
                _LOGGER.info("A step on Node %s was refused, deciding anew: %s", node.name, error)
                await self._read_again(node, step)
                break
        return True

    async def _step(self, node: Subject, step: Step, now: datetime) -> None:
        match step:
            case OpenRemediation(name, spec, status):
                body = await self.writes.create_remediation(name, wire(spec))
                self.answers.fold_treatment(body)
                version = body["metadata"]["resourceVersion"]
                await self._set_status(name, version, status)
            case SetStatus(name, version, status):
                await self._set_status(name, version, status)
            case ChangeNode(action):
                metadata = {
                    **action.body.get("metadata", {}),
                    "resourceVersion": action.resource_version,
                }
                body = {**action.body, "metadata": metadata}
                write = self.writes.owned_node if action.owned else self.writes.node
                self.answers.fold_node(await write(action.name, body))
            case Do(_, effect):
                await self.effects.carry_out(node.name, effect)
            case Announce(kind, reason, message):
                notice = Notice(node.name, node.uid, kind, reason, message)
                await self.announcer.say(notice, now)

    async def _set_status(self, name: str, version: str, status: NodeRemediationStatus) -> None:
        body = await self.writes.remediation_status(name, version, replacement(status))
        self.answers.fold_treatment(body)
        treatment = self.answers.fleet.treatments.get(name)
        if status.phase is Phase.INEFFECTIVE and treatment is not None:
            # Nothing is ever written to one that has ended: so it is counted once.
            self.outcomes.in_vain(treatment)

    async def _read_again(self, node: Subject, step: Step) -> None:
        match step:
            case OpenRemediation(name) | SetStatus(name):
                await self.answers.treatment(name)
            case _:
                await self.answers.node(node.name)


class DryRun:
    """Writes nothing; *would* keeps the newest decision of each node and logs each new one."""

    def __init__(self) -> None:
        self.would: dict[str, Decision] = {}

    async def execute(self, node: Subject, decision: Decision, now: datetime) -> bool:  # noqa: ARG002
        """Records *decision*."""
        if self.would.get(node.name) != decision:
            self.would[node.name] = decision
            names = ", ".join(type(step).__name__ for step in decision.steps)
            _LOGGER.info("Dry run: Node %s would be given %s", node.name, names)
        return False


def wire(part: BaseModel) -> dict[str, Any]:
    """The JSON of a part of a custom resource, without what is not set."""
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)


def replacement(status: BaseModel) -> dict[str, Any]:
    """A merge patch that leaves nothing of the status as it was before: None removes a field."""
    names = (field.alias or name for name, field in type(status).model_fields.items())
    return {**dict.fromkeys(names), **wire(status)}
