"""What is promised about changes of Nodes: budgets, foreign cordons, and when one is given back."""

from __future__ import annotations

from datetime import timedelta

from kernelhealth_api.remediation import CORDONED_BY, TAINTED_BY
from kernelhealth_operator.policy import budget, match
from kernelhealth_operator.policy.situation import Situation
from kernelhealth_operator.remediations.taint import KEY

from .memory import REFUSALS, Memory, rule_of
from .patches import Body, merged, unschedulable
from .pledge import pledge
from .server import OPERATOR, Write

COOL_DOWN, HEALTHY_DELAY = timedelta(hours=1), timedelta(minutes=10)
MARKS = (CORDONED_BY, TAINTED_BY)


class Marks:
    """Looks at each change of a Node right before it is carried out."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self._world = memory, memory.world

    def changed(self, name: str, write: Write) -> None:
        """Object to a change that must not be."""
        before = self._world.server.nodes.get(name)
        wanted = write.body["metadata"].get("resourceVersion")
        pledge(wanted, "a Node is changed whatever its version")
        if before is None or wanted != before["metadata"]["resourceVersion"]:
            return
        after = merged(before, write.body)
        for mark in MARKS:
            old, new = mark_of(before, mark), mark_of(after, mark)
            if new and not old:
                foreign = mark == CORDONED_BY and unschedulable(before)
                pledge(not foreign, "a foreign cordon is taken over")
                self._marked(name, new)
                cordons = mark == CORDONED_BY
                self._world.chronicle.note(
                    "a node was cordoned" if cordons else "a node was tainted"
                )
        if unschedulable(before) and not unschedulable(after):
            self._opened(name)
            self._world.chronicle.note("a node was given back")
        pledge(_foreign_taints(before) == _foreign_taints(after), "a foreign taint is changed")

    def _marked(self, name: str, owner: str) -> None:
        memory = self._memory
        if memory.landing:
            return
        facts = memory.facts(name)
        treatment = memory.acts(facts, owner)
        rule, policy, report = rule_of(facts, treatment), facts.policy, facts.report
        own = match.own(policy, rule, report) if policy and report else ()
        pledge(own, "a node is marked that has nothing that its rule is about")
        self.room(facts)
        refused = memory.refused_at.get(name)
        # A word that falls between the two writes of one step is heard right after it.
        if refused is not None and not memory.meddled:
            pledge(self._world.now >= refused + COOL_DOWN, "a person's no is contradicted: marked")

    def room(self, facts: Situation) -> None:
        """Object to taking a node out of service for which there is no room."""
        pledge(facts.policy, "something is begun under no policy")
        assert facts.policy is not None
        limits, others = facts.policy.spec.disruption, facts.others
        pledge(budget.room(limits, others), "over budget: too many nodes are unavailable")
        pledge(budget.room_in_zone(limits, facts.zone), "over budget: too many of one zone")
        pledge(budget.sound_enough(limits, others), "over budget: too few nodes are sound")
        if facts.node.control_plane:
            meant = facts.policy.spec.node_selector.match_expressions
            pledge(meant, "a node of the control plane is treated that is not meant")
            alone = facts.control_plane_treated <= {facts.node.name}
            pledge(alone, "two nodes of the control plane are under treatment")
        if not self._memory.rivals:
            # By what is stored, whatever anybody knows of it.
            ours = {name for name in self._world.server.nodes if self._shut_by_us(name)}
            known = ours - {facts.node.name} - self._memory.unheard
            most = int(limits.max_unavailable)
            pledge(len(known) + 1 <= most, "over budget: too many nodes are marked")

    def _shut_by_us(self, name: str) -> bool:
        """Whether a mark of ours keeps pods away.

        A person may have uncordoned the node and left the mark. Should one have cordoned it again
        since, that cordon is theirs in spite of the mark (ADR 5): like all that people do it counts
        from when it is heard of, which is what ``budget.room`` goes by.
        """
        server = self._world.server
        node = server.nodes[name]
        cordoned = mark_of(node, CORDONED_BY) and server.hand(name) == OPERATOR
        tainted = any(one["key"] == KEY for one in node["spec"]["taints"])
        return bool(cordoned or (mark_of(node, TAINTED_BY) and tainted))

    def _opened(self, name: str) -> None:
        memory, treatment = self._memory, self._world.open(name)
        pledge(self._world.server.hand(name) == OPERATOR, "a foreign cordon is undone")
        if memory.landing:
            return
        facts = memory.facts(name)
        policy = facts.policy
        pledge(not (policy and policy.spec.pause_requests), "a node is given back during a pause")
        if treatment is None or treatment.spec.decision in REFUSALS:
            return
        if treatment.status.healthy_since is None:
            return
        report = facts.report
        pledge(report and not report.silent, "a node is given back whose agent is silent")
        assert report is not None
        assert policy is not None
        pledge(not match.unresolved(policy, report), "a node is given back that is sick")
        long = self._world.now - treatment.status.healthy_since >= HEALTHY_DELAY
        pledge(long, "a node is given back before healthyDelay")
        unwell = memory.unwell.get(name)
        known = unwell is None or self._world.now >= unwell + HEALTHY_DELAY
        pledge(known, "a node is given back that was sick during healthyDelay")


def mark_of(node: Body, mark: str) -> str | None:
    """Whom a mark of a Node names."""
    owner: str | None = node["metadata"]["annotations"].get(mark)
    return owner


def _foreign_taints(node: Body) -> list[Body]:
    return [one for one in node["spec"]["taints"] if one["key"] != KEY]
