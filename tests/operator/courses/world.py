"""The world of the model: a cluster, and the operators that look after it, one or two at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from kernelhealth_operator.policy.situation import Policy

from .chronicle import Chronicle
from .cluster import NAMES, Cluster
from .line import Ahead, Killed, Trouble
from .plans import START, spec
from .pledge import pledge
from .promises import Promises
from .replica import Replica
from .server import Server

ROUNDS = 60
ON_ITS_WAY = timedelta(minutes=2)
"""After so long no API server carries out a request any more; by default it has a minute."""


class World(Cluster):
    """A cluster at its beginning, and an operator that leads; *acting* is the one at work."""

    def __init__(self, plan: int, chronicle: Chronicle) -> None:
        self.plan, self.ahead = plan, Ahead()
        self.promises = Promises(self)
        server, memory = Server(START, self.promises.watch), self.promises.memory
        super().__init__(server, chronicle, self.promises.requests.deed, memory.forget)
        self.rule(policy=Policy("all", START, 1, spec(plan)))
        for name in NAMES:
            self.join(name)
        self.replica = self.acting = self._replica()

    def operate(self, name: str) -> int:
        """The operator looks at a node; if it is killed, another one takes over."""
        self.promises.memory.meddled = False
        try:
            sent = self._look(self.replica, name)
        except Killed:
            self.take_over()
            return 1
        self.promises.looked(name)
        return sent

    def trouble(self, left: int, how: str, meddle: Callable[[], None]) -> None:
        """After so many writes something goes wrong."""

        def between() -> None:
            self.promises.memory.meddled = True
            meddle()

        self.ahead.left, self.ahead.trouble = left, Trouble(how, between)

    def _look(self, replica: Replica, name: str) -> int:
        before, self.acting = self.acting, replica
        if replica.is_stale(name):
            self.chronicle.note("it decided from a stale cache")
        try:
            return replica.work(name)
        finally:
            self.acting = before

    def look_at_everything(self) -> None:
        """The operator hears all there is, and looks at every node."""
        for name in NAMES:
            self.hear(name)
            self.operate(name)

    def take_over(self) -> None:
        """Another replica leads from now on; it begins with what a list tells."""
        self.chronicle.note("another leader took over")
        self.replica.leads = False
        self.replica = self.acting = self._replica()
        self.promises.memory.unheard.clear()

    def two_lead(self, left: int, other: str) -> None:
        """For a moment two lead: between two writes of the old one the new one looks at a node."""
        old, memory = self.replica, self.promises.memory
        new = self.replica = self._replica()
        memory.unheard.clear()
        memory.rivals = True

        def between() -> None:
            self.chronicle.note("two leaders at once")
            self._look(new, other)

        self.trouble(left, "meddle", between)
        for name in NAMES:
            self._look(old, name)
        self.ahead.trouble = None
        old.leads, memory.rivals = False, False
        self.acting = new

    def hear(self, name: str, only: str = "", *, again: bool = False) -> None:
        """The watches of the leader bring what is new about a node; *again*: all, once more."""
        self.replica.hear_policies()
        self.replica.hear(name, only=only, again=again)
        if not only:
            self.promises.memory.unheard.discard(name)

    def land(self) -> None:
        """A write of a leader that is gone arrives at last."""
        if self.late:
            write = self.late.pop(0)
            if write.sent is not None and self.now < write.sent + ON_ITS_WAY:
                self.promises.land(write)

    def a_round(self) -> None:
        """Everybody does his work, once."""
        self.server.pods.bury()
        for name in NAMES:
            self.agent_works(name)
            self.report(name)
        self.look_at_everything()

    def settle(self) -> None:
        """Everybody does his work until nothing is left to do at this time, which comes soon."""
        dirty = {*self.hosts, *self.replica.woken}
        for _ in range(ROUNDS):
            self.replica.woken.clear()
            self.server.pods.bury()
            for name in sorted(dirty):
                self.agent_works(name)
                self.report(name)
                self.hear(name)
                self.operate(name)
            dirty = {*self.replica.woken, *self._unsettled(dirty)}
            if not dirty:
                return
        pledge(kept=False, words=f"it comes to no rest: {sorted(dirty)} after {ROUNDS} rounds")

    def _unsettled(self, names: Iterable[str]) -> set[str]:
        """Nodes whose agent was asked for something, or whose pods are about to end."""
        leaving = (
            p for p in self.server.pods.stored.values() if "deletionTimestamp" in p["metadata"]
        )
        asked = (name for name in names if self._unanswered(name))
        return {*asked, *(pod["spec"]["nodeName"] for pod in leaving)}

    def _unanswered(self, name: str) -> bool:
        request = self.server.healths.get(name, {}).get("spec", {}).get("request")
        answer = self.hosts[name].answer
        return request is not None and (answer is None or answer["id"] != request["id"])

    def _replica(self) -> Replica:
        return Replica(self.server, self.chronicle, self.ahead, self.late, self.silent)
