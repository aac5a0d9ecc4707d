"""What is done when one node is looked at; every part writes only what differs."""

from __future__ import annotations

from dataclasses import dataclass, field

from kernelhealth_operator import executor, mirror, upkeep
from kernelhealth_operator.answers import Answers
from kernelhealth_operator.archive import Archive
from kernelhealth_operator.bulletin import Bulletin
from kernelhealth_operator.care import Care
from kernelhealth_operator.cluster.views import NodeView
from kernelhealth_operator.fleet import Clock, Fleet
from kernelhealth_operator.headcount import Standing
from kernelhealth_operator.news import News
from kernelhealth_operator.policy.decide import abandon
from kernelhealth_operator.policy.decision import Decision
from kernelhealth_operator.troubles import Troubles
from kernelhealth_operator.writes import Writes

_SPARE = 0.05
"""Seconds added to a due time; also the least time between two looks that only time asks for."""


@dataclass(slots=True)
class Round:
    """Looks at one node at a time per name; *touch_nodes* is False for a dry run."""

    fleet: Fleet
    answers: Answers
    writes: Writes
    care: Care
    bulletin: Bulletin
    news: News
    archive: Archive
    touch_nodes: bool
    clock: Clock
    decisions: dict[str, Decision] = field(default_factory=dict)

    def begin(self) -> None:
        """A time of leading begins: what stands now has been said by the leader before."""
        self.decisions.clear()
        self.news.begin()

    async def look_at(self, name: str) -> float | None:
        """Does what is to be done about the node; returns when to look again (clock seconds).

        Raises ``ApiError`` and ``NotLeader``.
        """
        standing, view = self.fleet.refresh(name), self.fleet.nodes.get(name)
        if standing is None or view is None:
            await self._gone(name)
            return None
        # What fails for one part is raised at the end, so that it never stops the others.
        with Troubles() as troubles:
            with troubles.noted():
                await self._object(view, standing)
            with troubles.noted():
                self.decisions[name] = await self.care.treat(name)
            decision = self.decisions.get(name, Decision())
            with troubles.noted():
                await self.bulletin.tell(name, decision)
            news = self.news.about(name)
            with troubles.noted():
                await self._mirror(name)
            with troubles.noted():
                await self.archive.clean(name, self.clock.utc())
            await self.news.tell(news, self.clock.utc())
        return self._due(name, decision)

    async def _object(self, view: NodeView, standing: Standing) -> None:
        health = self.fleet.healths.get(view.name)
        policy = self.fleet.policies.get(standing.policy or "")
        wanted = upkeep.spec(policy)
        if upkeep.foreign(view, health) or view.deleted is not None:
            return
        if upkeep.outdated(view, health, wanted):
            body = await self.writes.health(view.name, view.uid, upkeep.wire(wanted))
            self.answers.fold_health(body)
        if health is not None and upkeep.forgotten(health, self.fleet.open_treatment(view.name)):
            self.answers.fold_health(await self.writes.request(view.name, health.uid, None))

    async def _mirror(self, name: str) -> None:
        view, health = self.fleet.nodes.get(name), self.fleet.healths.get(name)
        if not self.touch_nodes or view is None or health is None:
            return
        if upkeep.foreign(view, health):
            return
        body = mirror.patch(view, health, self.clock.utc())
        if body is not None:
            self.answers.fold_node(await self.writes.node_status(name, body))

    async def _gone(self, name: str) -> None:
        """Ends the treatments of a node that is no more; their history goes with time."""
        self.decisions.pop(name, None)
        self.news.forget(name)
        for one in self.fleet.treatments_of(name):
            if one.status.phase.final or await self.answers.node(name) is not None:
                continue
            subject = executor.Subject(name, one.spec.node_uid)
            now = self.clock.utc()
            await self.care.executing.execute(subject, abandon(one, now), now)
        await self.archive.clean(name, self.clock.utc())

    def _due(self, name: str, decision: Decision) -> float | None:
        now, seconds = self.clock.utc(), self.clock.seconds()
        moments = [self.archive.due(name)]
        if decision.due is not None:
            moments.append(decision.due)
        left = min((moment - now).total_seconds() for moment in moments)
        # A moment to spare: timestamps on the wire are cut to whole seconds.
        due = seconds + max(0.0, left) + _SPARE
        standing = self.fleet.standing(name)
        if standing is not None and not standing.silent:
            due = min(due, max(seconds + _SPARE, self.fleet.silence_due(name)))
        return due
