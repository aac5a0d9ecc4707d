"""What must hold at each single write and each single deed, whatever happened before.

Each write is looked at right before the server carries it out. What the operator cannot have known
at that moment is not held against it: it is judged by what its watches have brought, and by what
is read live before each step. A write that is late was sent by a leader that is gone: only what
versions protect from can be asked of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_api.v1alpha1.request import HostRequest
from kernelhealth_operator import kinds
from kernelhealth_operator.cluster.errors import ApiError
from kernelhealth_operator.policy import match
from kernelhealth_operator.policy.reprieve import LET_BE

from .marks import COOL_DOWN, Marks
from .memory import Memory
from .patches import Body
from .pledge import pledge
from .requests import Requests
from .server import Write

if TYPE_CHECKING:
    from .world import World

_ENDS = {
    Phase.SUCCEEDED: "a treatment succeeded",
    Phase.INEFFECTIVE: "a treatment was in vain",
    Phase.CANCELLED: "a treatment was cancelled",
    Phase.FAILED: "a treatment failed",
}


class Promises:
    """Watches a *world*; raises ``AssertionError`` with the promise that was broken."""

    def __init__(self, world: World) -> None:
        self._world, self.memory = world, Memory(world)
        self._marks, self.requests = Marks(self.memory), Requests(self.memory)

    def looked(self, name: str) -> None:
        """The operator has had a good look at a node: it may know that it is unwell."""
        fleet = self._world.replica.fleet
        standing = fleet.standing(name)
        if standing is None:
            return
        policy, report = fleet.policies.get(standing.policy or ""), standing.report
        known = policy is not None and report is not None and not report.silent
        if not known or (policy and report and match.unresolved(policy, report)):
            self.memory.unwell[name] = self._world.now

    def land(self, write: Write) -> None:
        """Carry out a write that is late."""
        self._world.chronicle.note("a write came late")
        with self.memory.lands():
            try:
                self._world.server.write(write)
            except ApiError:
                return
        self.memory.unheard.add(self._node_of(write))
        if write.path == kinds.REMEDIATIONS:
            self._came_again(self._node_of(write))

    def _came_again(self, name: str) -> None:
        # What a person deleted has its name again before anybody noted the no: nothing tells that
        # it is another object (ADR 15, left open).
        node = self._world.server.nodes.get(name)
        if node is not None and LET_BE not in node["metadata"].get("annotations", {}):
            self.memory.refused_at.pop(name, None)

    # Before a write.

    def watch(self, write: Write) -> None:
        """Object to a write that must not be."""
        name = write.path.removesuffix("/status").rpartition("/")[2]
        if write.path == kinds.REMEDIATIONS:
            self._created(write.body)
        elif write.path.startswith(kinds.REMEDIATIONS):
            self._told(name, write.body)
        elif write.path.startswith(kinds.NODES):
            self._marks.changed(name, write)
            if write.body["metadata"].get("annotations", {}).get(LET_BE):
                self._world.chronicle.note("a person's no was noted")
        elif write.path.startswith(kinds.HEALTHS):
            request = write.body.get("spec", {}).get("request")
            if request is not None:
                self.requests.asked(name, HostRequest.model_validate(request))
        elif write.path.startswith("/api/v1/namespaces/"):
            self._sent_away(write)
        if self.memory.rivals:
            self.memory.unheard.add(self._node_of(write))

    def _created(self, body: Body) -> None:
        name, treatment = body["spec"]["nodeName"], body["metadata"]["name"]
        node = self._world.server.nodes.get(name)
        if treatment in self._world.server.remediations:
            return  # It is about to be refused.
        self.requests.born(treatment, f"uid-{self._world.server.version + 1}")
        self._world.chronicle.note("a treatment was opened")
        refused = self.memory.refused_at.get(name)
        if refused is None or self.memory.landing or node is None:
            return
        if node["metadata"]["uid"] == body["spec"]["nodeUid"]:
            late = self._world.now >= refused + COOL_DOWN
            pledge(late, "a person's no is contradicted: another treatment is opened")

    def _told(self, name: str, body: Body) -> None:
        held = self._world.server.remediations.get(name)
        version = body["metadata"]["resourceVersion"]
        if held is None or version != held["metadata"]["resourceVersion"]:
            return
        before = self._world.treatment(held).status.phase
        after = Phase(body["status"]["phase"])
        pledge(not before.final, "what has ended is written again")
        if any(rung["state"] == "Overruled" for rung in body["status"]["rungs"]):
            undone = name in self.memory.uncordoned
            pledge(undone, "a person is said to have undone what nobody undid")
        if after in _ENDS:
            self._world.chronicle.note(_ENDS[after])
        begins = before in {Phase.PROPOSED, Phase.WAITING} and after is Phase.RUNNING
        fresh = not any(rung["state"] in _GONE_THROUGH for rung in body["status"]["rungs"])
        if begins and fresh and not self.memory.landing:
            # From now on it takes up room, also where its plan never marks the node.
            self._marks.room(self.memory.facts(held["spec"]["nodeName"]))

    def _sent_away(self, write: Write) -> None:
        pod = self._world.server.pods.stored.get(write.path.split("/")[6])
        if pod is None:
            return
        if not self.memory.landing:
            facts = self.memory.facts(pod["spec"]["nodeName"])
            owner = "" if facts.treatment is None else facts.treatment.name
            treatment = self.memory.acts(facts, owner)
            rungs = {rung.action for rung in treatment.status.rungs if rung.state == "Running"}
            pledge("drain" in rungs, "a pod is sent away, and no drain is under way")
        self._world.chronicle.note("a pod was evicted")

    def _node_of(self, write: Write) -> str:
        name = write.path.removesuffix("/status").rpartition("/")[2]
        held = self._world.server.remediations.get(name)
        if write.path == kinds.REMEDIATIONS:
            return str(write.body["spec"]["nodeName"])
        return str(held["spec"]["nodeName"]) if held else name


_GONE_THROUGH = {"Done", "Skipped", "Failed", "Reverting", "Reverted", "Overruled"}
