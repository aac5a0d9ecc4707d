"""The operator in the model: its own code from the caches to the requests.

What is real: Fleet, Care, Executor, Effects, Answers, Bulletin, Writes, decide() and every
remediation. What is played: the API server, the watches, which bring news late, and the clock.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar, cast

from kernelhealth_api import registry
from kernelhealth_api.remediation import Remediation
from kernelhealth_operator import kinds, remediations, upkeep
from kernelhealth_operator.answers import Answers
from kernelhealth_operator.bulletin import Bulletin
from kernelhealth_operator.care import Care
from kernelhealth_operator.cluster.errors import ApiError, NotLeader
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.effects import Effects
from kernelhealth_operator.events import Announcer, TokenBucket
from kernelhealth_operator.executor import Executor, Subject
from kernelhealth_operator.fleet import Clock, Fleet
from kernelhealth_operator.headcount import Listener
from kernelhealth_operator.policy.decide import abandon
from kernelhealth_operator.policy.decision import Decision
from kernelhealth_operator.silence import Hearing
from kernelhealth_operator.troubles import Troubles
from kernelhealth_operator.writes import Writes

from .chronicle import Chronicle
from .hosts import REASONS
from .line import Ahead, Line
from .patches import Body
from .server import Server, Write

T = TypeVar("T")
KNOWN: tuple[Remediation[Any], ...] = registry.load(remediations, "REMEDIATION", Remediation)
PATIENCE = 1800.0
"""After how many seconds an agent counts as silent."""


class Taker:
    """Takes in policies as they are, in place of judging them."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def take(self, body: Mapping[str, Any]) -> None:
        """Takes in a policy."""
        self._fleet.put_policy(body["policy"])

    def drop(self, name: str) -> None:
        """Takes in that there is none."""
        self._fleet.drop_policy(name)


class Replica:
    """One process of the operator; a new one knows what a list tells."""

    def __init__(
        self,
        server: Server,
        chronicle: Chronicle,
        ahead: Ahead,
        late: list[Write],
        silent: set[str],
    ) -> None:
        self.server = server
        self.leads = True
        self.line = Line(server, chronicle, ahead, late)
        self.woken: set[str] = set()

        def seconds() -> float:
            return server.now.timestamp()

        clock = Clock(lambda: server.now, seconds)
        listener = Listener(self.woken.add, lambda _: None)
        self.fleet = Fleet(clock, Hearing(PATIENCE), listener, REASONS, silent)
        session = cast("ApiSession", self.line)
        self._writes = Writes(session, self._fence)
        answers = Answers(session, self.fleet, Taker(self.fleet))
        bucket = TokenBucket(1000, 1000.0, clock.seconds)
        announcer = Announcer(self._writes, "model", bucket, clock.seconds)
        effects = Effects(self._writes, answers, self.fleet)
        self.executor = Executor(self._writes, answers, announcer, effects)
        self._care = Care(
            self.fleet, answers, self.executor, KNOWN, clock, self.woken.add, lambda: ()
        )
        self._bulletin = Bulletin(self.fleet, answers, self._writes, clock, PATIENCE)
        self.hear_policies()
        for name in server.nodes:
            self.hear(name)

    def hear_policies(self) -> None:
        """The watch of the policies brings all that is new."""
        for name in [*self.fleet.policies]:
            if name not in self.server.policies:
                self.fleet.drop_policy(name)
        for policy in self.server.policies.values():
            self.fleet.put_policy(policy)

    def hear(self, name: str, *, only: str = "", again: bool = False) -> None:
        """The watches bring all that is new about a node, or one of them does; *again*: all."""
        if only in {"", "treatments"}:
            self._hear_treatments(name, again)
        if only in {"", "node"}:
            self._hear_node(name, again)
        body = self.server.healths.get(name) if only in {"", "health"} else None
        if body is not None and (again or _is_news(self.fleet.healths.get(name), body)):
            self.fleet.put_health(kinds.health_of(body))

    def is_stale(self, name: str) -> bool:
        """Whether what is known of a node is not what is stored."""
        stored, fleet = self.server, self.fleet
        mine = [b for b in stored.remediations.values() if b["spec"]["nodeName"] == name]
        return (
            any(_is_news(fleet.treatments.get(one["metadata"]["name"]), one) for one in mine)
            or len(mine) != len(fleet.treatments_of(name))
            or (name in stored.nodes and _is_news(fleet.nodes.get(name), stored.nodes[name]))
            or (name in stored.healths and _is_news(fleet.healths.get(name), stored.healths[name]))
        )

    def _hear_node(self, name: str, again: bool) -> None:  # noqa: FBT001
        body, held = self.server.nodes.get(name), self.fleet.nodes.get(name)
        if body is None:
            if held is not None:
                self.fleet.drop_node(held)
        elif again or _is_news(held, body):
            self.fleet.put_node(kinds.node_of(body))

    def _hear_treatments(self, name: str, again: bool) -> None:  # noqa: FBT001
        stored = self.server.remediations
        for one in self.fleet.treatments_of(name):
            if one.name not in stored:
                self.fleet.drop_treatment(one)
        for body in stored.values():
            held = self.fleet.treatments.get(body["metadata"]["name"])
            if body["spec"]["nodeName"] == name and (again or _is_news(held, body)):
                self.fleet.put_treatment(kinds.treatment_of(body))

    def work(self, name: str) -> int:
        """Look at one node and do what is to be done; returns how many writes were sent.

        Raises ``Killed``.
        """
        self.line.sent = 0
        try:
            _done(self._round(name))
        except (ApiError, NotLeader):
            return self.line.sent + 1
        return self.line.sent

    async def _round(self, name: str) -> None:
        if self.fleet.refresh(name) is None:
            for one in self.fleet.treatments_of(name):
                if not one.status.phase.final and name not in self.server.nodes:
                    now, subject = self.server.now, Subject(name, one.spec.node_uid)
                    await self.executor.execute(subject, abandon(one, now), now)
            return
        decision = Decision()
        with Troubles() as troubles:
            with troubles.noted():
                decision = await self._care.treat(name)
            with troubles.noted():
                await self._take_back(name)
            with troubles.noted():
                await self._bulletin.tell(name, decision)

    async def _take_back(self, name: str) -> None:
        health = self.fleet.healths.get(name)
        if health is not None and upkeep.forgotten(health, self.fleet.open_treatment(name)):
            self.executor.answers.fold_health(await self._writes.request(name, health.uid, None))

    def _fence(self) -> float:
        if not self.leads:
            raise NotLeader("the lease is another one's")
        return 10.0


def _is_news(held: Any, body: Body) -> bool:
    return held is None or bool(held.resource_version != body["metadata"]["resourceVersion"])


def _done(coroutine: Coroutine[Any, Any, T]) -> T:
    """What it returns: nothing in the model is ever waited for."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise AssertionError("something waited")
