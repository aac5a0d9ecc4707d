"""The operator in the model: its own code from the caches to the requests, and a bad way there.

What is real: Fleet, Care, Executor, Effects, Answers, Writes, decide() and every remediation. What
is played: the API server, the watches, which bring news late, and the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from kernelhealth_api import registry
from kernelhealth_api.remediation import Remediation
from kernelhealth_operator import kinds, remediations, upkeep
from kernelhealth_operator.answers import Answers
from kernelhealth_operator.care import Care
from kernelhealth_operator.cluster.call import APPLY_PATCH, Guard
from kernelhealth_operator.cluster.errors import ApiError, NotLeader, Unreachable
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.effects import Effects
from kernelhealth_operator.events import Announcer, TokenBucket
from kernelhealth_operator.executor import Executor, Subject
from kernelhealth_operator.fleet import Clock, Fleet
from kernelhealth_operator.headcount import Listener
from kernelhealth_operator.policy.decide import abandon
from kernelhealth_operator.silence import Hearing
from kernelhealth_operator.writes import Writes

from .hosts import REASONS
from .server import Body, Server, Write

T = TypeVar("T")
KNOWN: tuple[Remediation[Any], ...] = registry.load(remediations, "REMEDIATION", Remediation)
PATIENCE = 1800.0
"""After how many seconds an agent counts as silent."""


class Killed(Exception):  # noqa: N818 - it is no error that the operator is stopped
    """The operator was stopped in the middle."""


@dataclass
class Trouble:
    """What happens to write number *at* of a round, counted from 0.

    *how*: killed before or after it, the answer lost, sent twice, carried out much later, or
    *meddle* comes in between.
    """

    at: int
    how: str
    meddle: Callable[[], None] | None = None


@dataclass
class Line:
    """The way to the API server, in place of a session; *late* are writes still on their way."""

    server: Server
    late: list[Write] = field(default_factory=list)
    trouble: Trouble | None = None
    sent: int = 0
    policies_read: bool = False

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        content_type: str = "",
        field_manager: str | None = None,
        guard: Guard | None = None,
        **_: object,
    ) -> Any:
        """As ``ApiSession.request``."""
        if method == "GET":
            return self.server.get(path)
        if guard is not None:
            guard()
        write = Write(method, path, body or {}, field_manager or "", content_type == APPLY_PATCH)
        if path.startswith(kinds.EVENTS):
            return {}
        trouble, number = self.trouble, self.sent
        self.sent += 1
        if trouble is None or trouble.at != number:
            return self.server.write(write)
        return self._badly(write, trouble)

    def _badly(self, write: Write, trouble: Trouble) -> Body:
        match trouble.how:
            case "killed before":
                raise Killed
            case "late":
                self.late.append(write)
                raise Killed
            case "meddle" if trouble.meddle is not None:
                trouble.meddle()
                return self.server.write(write)
        answer = self.server.write(write)
        match trouble.how:
            case "killed after":
                raise Killed
            case "lost":
                raise Unreachable(write.path, "the answer was lost")
            case "twice" if write.method != "POST":
                return self.server.write(write)
        return answer


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

    def __init__(self, server: Server, late: list[Write], silent: set[str]) -> None:
        self.server = server
        self.leads = True
        self.line = Line(server, late)
        self.woken: set[str] = set()

        def seconds() -> float:
            return server.now.timestamp()

        clock = Clock(lambda: server.now, seconds)
        self.hearing = Hearing(PATIENCE)
        listener = Listener(self.woken.add, lambda _: None)
        self.fleet = Fleet(clock, self.hearing, listener, REASONS, silent)
        session = cast("ApiSession", self.line)
        self._writes = Writes(session, self._fence)
        self._taker = Taker(self.fleet)
        answers = Answers(session, self.fleet, self._taker)
        bucket = TokenBucket(1000, 1000.0, clock.seconds)
        announcer = Announcer(self._writes, "model", bucket, clock.seconds)
        effects = Effects(self._writes, answers, self.fleet)
        self.executor = Executor(self._writes, answers, announcer, effects)
        self._care = Care(
            self.fleet, answers, self.executor, KNOWN, clock, self.woken.add, lambda: ()
        )
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

    def hear(self, name: str, *, only: str = "") -> None:
        """The watches bring all that is new about a node, or one of them does."""
        if only in {"", "treatments"}:
            self._hear_treatments(name)
        if only in {"", "node"}:
            self._hear_node(name)
        if only in {"", "health"} and (body := self.server.healths.get(name)) is not None:
            held = self.fleet.healths.get(name)
            if held is None or held.resource_version != body["metadata"]["resourceVersion"]:
                self.fleet.put_health(kinds.health_of(body))

    def _hear_node(self, name: str) -> None:
        body, held = self.server.nodes.get(name), self.fleet.nodes.get(name)
        if body is None:
            if held is not None:
                self.fleet.drop_node(held)
        elif held is None or held.resource_version != body["metadata"]["resourceVersion"]:
            self.fleet.put_node(kinds.node_of(body))

    def _hear_treatments(self, name: str) -> None:
        stored = self.server.remediations
        for one in self.fleet.treatments_of(name):
            if one.name not in stored:
                self.fleet.drop_treatment(one)
        for body in stored.values():
            if body["spec"]["nodeName"] != name:
                continue
            held = self.fleet.treatments.get(body["metadata"]["name"])
            if held is None or held.resource_version != body["metadata"]["resourceVersion"]:
                self.fleet.put_treatment(kinds.treatment_of(body))

    def work(self, name: str, trouble: Trouble | None = None) -> int:
        """Look at one node and do what is to be done; returns how many writes were sent.

        Raises ``Killed``.
        """
        self.line.trouble, self.line.sent = trouble, 0
        try:
            _done(self._round(name))
        except (ApiError, NotLeader):
            return self.line.sent + 1
        finally:
            self.line.trouble = None
        return self.line.sent

    async def _round(self, name: str) -> None:
        if self.fleet.refresh(name) is None:
            for one in self.fleet.treatments_of(name):
                if not one.status.phase.final and name not in self.server.nodes:
                    now, subject = self.server.now, Subject(name, one.spec.node_uid)
                    await self.executor.execute(subject, abandon(one, now), now)
            return
        await self._care.treat(name)
        health = self.fleet.healths.get(name)
        if health is not None and upkeep.forgotten(health, self.fleet.open_treatment(name)):
            self.executor.answers.fold_health(await self._writes.request(name, health.uid, None))

    def _fence(self) -> float:
        if not self.leads:
            raise NotLeader("the lease is another one's")
        return 10.0


def _done(coroutine: Coroutine[Any, Any, T]) -> T:
    """What it returns: nothing in the model is ever waited for."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise AssertionError("something waited")
