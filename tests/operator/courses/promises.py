"""What must hold at each single write and each single deed, whatever happened before.

Each write is looked at right before the server carries it out. What the operator cannot have known
at that moment is not held against it: it is judged by what its watches have brought, and by what
is read live before each step. A write that is late was sent by a leader that is gone: only what
versions protect from can be asked of it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from kernelhealth_api import cures
from kernelhealth_api.remediation import CORDONED_BY, TAINTED_BY
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Mode
from kernelhealth_api.v1alpha1.noderemediation import Decision, Phase
from kernelhealth_api.v1alpha1.request import HostRequest
from kernelhealth_operator import gather, kinds
from kernelhealth_operator.cluster.errors import ApiError
from kernelhealth_operator.policy import match
from kernelhealth_operator.policy.situation import Situation, Treatment

from .server import OPERATOR, Body, Write, merged

if TYPE_CHECKING:
    from .world import World

COOL_DOWN, HEALTHY_DELAY = timedelta(hours=1), timedelta(minutes=10)
REFUSALS = frozenset({Decision.REJECTED, Decision.CANCELLED})
MARKS = (CORDONED_BY, TAINTED_BY)
OPENS, CLOSES = 2, 6
"""The hours between which the maintenance window is open each day, in UTC."""


class Promises:
    """Watches a *world*; raises ``AssertionError``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._landing = False
        self._wanted: dict[str, tuple[Any, ...]] = {}
        self._deeds: dict[tuple[Any, ...], str] = {}
        self.refused_at: dict[str, datetime] = {}
        self.uncordoned: set[str] = set()
        self.unwell: dict[str, datetime] = {}
        self.unheard: set[str] = set()
        self.meddled = False

    def forget(self, name: str) -> None:
        """The node of that name is another one now."""
        self.refused_at.pop(name, None)
        self.unwell.pop(name, None)

    def looked(self, name: str) -> None:
        """The operator has had a good look at a node: it may know that it is unwell."""
        standing = self._world.replica.fleet.standing(name)
        if standing is None:
            return
        policy = self._world.replica.fleet.policies.get(standing.policy or "")
        report = standing.report
        known = policy is not None and report is not None and not report.silent
        if not known or (policy and report and match.unresolved(policy, report)):
            self.unwell[name] = self._world.now

    def land(self, write: Write) -> None:
        """Carry out a write that is late."""
        self._landing = True
        try:
            self._world.server.write(write)
            self.unheard.add(_node_of(write, self._world))
        except ApiError:
            return
        finally:
            self._landing = False

    # Before a write.

    def watch(self, write: Write) -> None:
        """Object to a write that must not be."""
        name = write.path.removesuffix("/status").rpartition("/")[2]
        if write.path == kinds.REMEDIATIONS:
            self._created(write.body)
        elif write.path.startswith(kinds.REMEDIATIONS):
            self._told(name, write.body)
        elif write.path.startswith(kinds.NODES):
            self._changed(name, write)
        elif write.path.startswith(kinds.HEALTHS):
            request = write.body.get("spec", {}).get("request")
            if request is not None:
                self._asked(name, HostRequest.model_validate(request))
        elif write.path.startswith("/api/v1/namespaces/"):
            self._sent_away(write)

    def _created(self, body: Body) -> None:
        name = body["spec"]["nodeName"]
        node = self._world.server.nodes.get(name)
        if body["metadata"]["name"] in self._world.server.remediations or self._landing:
            return  # It is about to be refused, or nobody is to blame.
        refused = self.refused_at.get(name)
        if refused is not None and node and node["metadata"]["uid"] == body["spec"]["nodeUid"]:
            assert self._world.now >= refused + COOL_DOWN, "a person is contradicted"

    def _told(self, name: str, body: Body) -> None:
        held = self._world.server.remediations.get(name)
        if held is None or body["metadata"]["resourceVersion"] != _version(held):
            return
        before = self._world.treatment(held)
        assert not before.status.phase.final, "what has ended is written again"
        if any(rung["state"] == "Overruled" for rung in body["status"]["rungs"]):
            assert name in self.uncordoned, "nobody undid anything"

    def _changed(self, name: str, write: Write) -> None:
        before = self._world.server.nodes.get(name)
        wanted = write.body["metadata"].get("resourceVersion")
        assert wanted, "a Node is changed whatever its version"
        if before is None or wanted != _version(before):
            return
        after = merged(before, write.body)
        for mark in MARKS:
            old, new = _mark(before, mark), _mark(after, mark)
            if new and not old:
                assert mark != CORDONED_BY or not _closed(before), "a foreign cordon is taken over"
                self._marked(name, new)
        if _closed(before) and not _closed(after):
            self._opened(name)
        foreign = [one for one in before["spec"]["taints"] if one["key"] == "team"]
        assert [one for one in after["spec"]["taints"] if one["key"] == "team"] == foreign

    def _marked(self, name: str, owner: str) -> None:
        if self._landing:
            return
        facts = self._facts(name)
        treatment = self._acts(facts, owner)
        assert facts.report is not None
        assert facts.policy is not None
        assert match.own(facts.policy, _rule(facts, treatment), facts.report)
        self._room(facts)
        refused = self.refused_at.get(name)
        # A word that falls between the two writes of one step is heard right after it.
        known = refused is not None and not self.meddled
        if refused is not None and known:
            assert self._world.now >= refused + COOL_DOWN, "a person is contradicted"

    def _room(self, facts: Situation) -> None:
        assert facts.policy is not None
        disruption, others = facts.policy.spec.disruption, facts.others
        name, server = facts.node.name, self._world.server
        ours = {n for n, node in server.nodes.items() if any(_mark(node, m) for m in MARKS)}
        most = int(disruption.max_unavailable)
        assert others.unavailable + 1 <= most, "too many nodes are unavailable"
        assert len(ours - {name} - self.unheard) + 1 <= most, "too many nodes are marked"
        assert others.sound >= int(disruption.min_healthy), "too few nodes are sound"
        if facts.node.control_plane:
            assert facts.control_plane_treated <= {name}

    def _opened(self, name: str) -> None:
        server, treatment = self._world.server, self._world.open(name)
        assert server.hand(name) == OPERATOR, "a foreign cordon is undone"
        if self._landing:
            return
        facts = self._facts(name)
        policy = facts.policy
        assert policy is None or not policy.spec.pause_requests, "the policy is paused"
        if treatment is None or treatment.spec.decision in REFUSALS:
            return
        assert facts.report is not None
        assert not facts.report.silent
        if treatment.status.healthy_since is not None:
            assert policy is not None
            assert not match.unresolved(policy, facts.report), "the node is given back sick"
            assert self._world.now >= treatment.status.healthy_since + HEALTHY_DELAY
            unwell = self.unwell.get(name)
            assert unwell is None or self._world.now >= unwell + HEALTHY_DELAY

    def _asked(self, name: str, request: HostRequest) -> None:
        if self._landing:
            return
        facts = self._facts(name)
        treatment = facts.treatment
        assert treatment is not None, "an agent is asked in nobody's name"
        self._acts(facts, treatment.name)
        index, action = self._rung(treatment, request.id)
        ((_, given),) = treatment.spec.plan[index].items()
        assert request.boot_id == facts.node.boot_id
        assert request.deadline > self._world.now
        fixing = request.action.fix_config or request.action.reclaim
        birth = self._world.server.remediations[treatment.name]["metadata"]["uid"]
        means = (birth, index, fixing.fix if fixing else "reboot", request.boot_id)
        assert self._wanted.setdefault(request.id, means) == means, "an id is given twice"
        if fixing is None:
            assert action == "reboot"
            if given.get("when") == "MaintenanceWindow":
                assert _in_window(self._world.now), "a reboot is asked for outside its window"
                assert _in_window(request.deadline), "a reboot may begin outside its window"
            return
        cure = cures.named(fixing.fix)
        assert cure is not None
        assert cure.stage.value == action
        assert not cure.risky or fixing.fix in given.get("fixes", ()), "a risky cure unasked for"
        assert facts.report is not None
        known = {found.reason for found in facts.report.findings if fixing.fix in found.cures}
        assert known & set(fixing.reasons), "a cure for what is not there"

    def _rung(self, treatment: Treatment, request: str) -> tuple[int, str]:
        for index, rung in enumerate(treatment.status.rungs):
            if rung.state == "Running" and rung.requests[-1:] == (request,):
                return index, rung.action
        raise AssertionError("a request was sent before it was written down")

    def _sent_away(self, write: Write) -> None:
        pod = self._world.server.pods.get(write.path.split("/")[6])
        if pod is None or self._landing:
            return
        name = pod["spec"]["nodeName"]
        facts = self._facts(name)
        assert facts.treatment is not None
        treatment = self._acts(facts, facts.treatment.name)
        rungs = {rung.action for rung in treatment.status.rungs if rung.state == "Running"}
        assert "drain" in rungs, "a pod is sent away, and no drain is under way"

    def _acts(self, facts: Situation, owner: str) -> Treatment:
        """Whatever is done is done in the name of a treatment that may act."""
        treatment, policy = facts.treatment, facts.policy
        assert treatment is not None
        assert treatment.name == owner
        assert treatment.spec.node_uid == facts.node.uid
        assert treatment.status.phase is Phase.RUNNING, "it is done before it is written"
        assert treatment.spec.decision not in REFUSALS, "a person said no"
        assert policy is not None
        assert policy.name == treatment.spec.policy
        assert not policy.spec.pause_requests, "the policy is paused"
        assert not policy.problems
        assert not facts.node.opted_out
        mode = match.mode(policy, _rule(facts, treatment))
        approved = treatment.spec.decision is Decision.APPROVED
        assert mode is Mode.AUTO or (mode is Mode.PROPOSE and approved), "nobody approved"
        return treatment

    def _facts(self, name: str) -> Situation:
        """What the operator knows right now."""
        fleet = self._world.replica.fleet
        standing = fleet.standing(name)
        assert standing is not None
        facts = gather.situation(fleet, standing, self._world.now, gather.Said())
        return replace(facts, treatment=fleet.open_treatment(name))

    # Before a deed.

    def deed(self, name: str, request: HostRequest) -> None:
        """Object to something that a host does."""
        host = self._world.hosts[name]
        assert host.done[request.id] <= 1, "a request is carried out twice"
        means = self._wanted.get(request.id)
        if means is not None:
            assert self._deeds.setdefault(means, request.id) == request.id, "a cure is done twice"
        if request.action.reboot is None or means is None:
            return
        treatment = self._world.treatments(name)
        plans = [one.spec.plan[means[1]] for one in treatment if request.id.startswith(one.name)]
        if any(step.get("reboot", {}).get("when") == "MaintenanceWindow" for step in plans):
            assert _in_window(self._world.now + host.clock), "a host boots outside its window"


def _rule(facts: Situation, treatment: Treatment) -> Any:
    assert facts.policy is not None
    rule = match.rule_named(facts.policy, treatment.spec.rule)
    assert rule is not None
    return rule


def _node_of(write: Write, world: World) -> str:
    name = write.path.removesuffix("/status").rpartition("/")[2]
    held = world.server.remediations.get(name)
    if write.path == kinds.REMEDIATIONS:
        return str(write.body["spec"]["nodeName"])
    return str(held["spec"]["nodeName"]) if held else name


def _mark(node: Body, mark: str) -> str | None:
    owner: str | None = node["metadata"]["annotations"].get(mark)
    return owner


def _closed(node: Body) -> bool:
    return bool(node["spec"].get("unschedulable"))


def _version(body: Body) -> str:
    return str(body["metadata"]["resourceVersion"])


def _in_window(moment: datetime) -> bool:
    opens = moment.replace(hour=OPENS, minute=0, second=0)
    return opens <= moment <= opens + timedelta(hours=CLOSES - OPENS)
