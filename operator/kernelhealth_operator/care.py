"""Deciding about one node, and doing it: from the caches whether, from the API server what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from kernelhealth_api.remediation import Remediation, marked_by
from kernelhealth_operator import executor, gather, upkeep
from kernelhealth_operator.answers import Answers
from kernelhealth_operator.fleet import Clock, Fleet
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.decision import ChangeNode, Decision, Do

_READINGS = 4
"""How often what was read may lead to more reading before one decision."""


@dataclass(frozen=True, slots=True)
class Care:
    """Decisions with steps are taken one by one.

    *again* wants a node to be looked at anew, *unheard* names the kinds whose watch is mute.
    """

    fleet: Fleet
    answers: Answers
    executing: executor.Executing
    remediations: tuple[Remediation[Any], ...]
    clock: Clock
    again: Callable[[str], None]
    unheard: Callable[[], tuple[str, ...]]
    _room: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def treat(self, name: str) -> Decision:
        """Decides and carries out; what needs room is decided and written under one lock.

        Before anything is done the Node, its treatment and, where the Node is to be changed, its
        policy are read live: neither a cordon nor the conclusion that a person undid one ever comes
        from a cache that lags behind. Raises ``ApiError`` and ``NotLeader``.
        """
        missing = await self._owner_missing(name)
        decision = self._decide(name, gather.Said(missing, deleted=await self._deleted(name)))
        if decision.steps or decision.reads:
            async with self._room:
                decision = await self._act(name, owner_missing=missing)
        return decision

    async def _act(self, name: str, *, owner_missing: bool) -> Decision:
        treatment = self.fleet.open_treatment(name)
        if treatment is not None:
            await self.answers.treatment(treatment.name)
        node = await self.answers.node(name)
        if node is None:
            return Decision()
        deleted = await self._deleted(name)
        said = gather.Said(owner_missing, node.taken_over, self.unheard(), deleted=deleted)
        decision, standing = self._decide(name, said), self.fleet.standing(name)
        for _ in range(_READINGS):
            known = said.read or {}
            missing = [path for path in decision.reads if path not in known]
            if not missing:
                break
            said = replace(said, read={**known, **await self.answers.bodies(missing)})
            decision, standing = self._decide(name, said), self.fleet.standing(name)
        changes = any(isinstance(step, ChangeNode | Do) for step in decision.steps)
        if changes and standing is not None and standing.policy is not None:
            # Somebody may have paused it while its watch was dead.
            await self.answers.policy(standing.policy)
            decision = self._decide(name, said)
        await self._execute(name, decision)
        return decision

    async def _execute(self, name: str, decision: Decision) -> None:
        now, standing = self.clock.utc(), self.fleet.standing(name)
        if decision.steps and standing is not None:
            subject = executor.Subject(name, standing.node.uid)
            if await self.executing.execute(subject, decision, now):
                # What comes next follows from what was answered just now.
                self.again(name)

    def _decide(self, name: str, said: gather.Said) -> Decision:
        standing = self.fleet.refresh(name)
        if standing is None:
            return Decision()
        facts = gather.situation(self.fleet, standing, self.clock.utc(), said)
        return decide(facts, self.remediations)

    async def _owner_missing(self, name: str) -> bool:
        view = self.fleet.nodes.get(name)
        marks = {} if view is None else view.annotations
        owner = marked_by(marks) or ""
        if not owner or owner in self.fleet.treatments:
            return False
        return await self.answers.treatment(owner) is None

    async def _deleted(self, name: str) -> str | None:
        """The treatment that is open as the node's object says, and that somebody deleted."""
        view, health = self.fleet.nodes.get(name), self.fleet.healths.get(name)
        if view is None:
            return None
        lost = upkeep.lost(view, health, self.fleet.treatments, self.fleet.ended)
        if lost is None or await self.answers.treatment(lost) is not None:
            return None
        return lost
