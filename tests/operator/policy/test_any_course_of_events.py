"""Whatever happens, in whatever order: a model cluster, and an operator that is badly treated.

The operator decides from views that may be old, is stopped between any two steps, does not hear
that a step was carried out, and finds that a person changed the Node in between. What the model
leaves out: a person who uncordons a node and cordons it again before the operator has looked once
cannot be told from one who did neither, since our mark is still there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kernelhealth_api import registry
from kernelhealth_api.procedure import PatchNode
from kernelhealth_api.remediation import CORDONED_BY, Remediation
from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_api.v1alpha1.kernelhealthpolicy import (
    Disruption,
    KernelHealthPolicySpec,
    Match,
    Mode,
    Recovery,
    Rule,
)
from kernelhealth_api.v1alpha1.nodekernelhealth import Health
from kernelhealth_api.v1alpha1.noderemediation import (
    Decision,
    NodeRemediationSpec,
    NodeRemediationStatus,
)
from kernelhealth_operator import remediations
from kernelhealth_operator.policy import budget, match, tally
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.decision import (
    Announce,
    ChangeNode,
    OpenRemediation,
    SetStatus,
    Step,
)
from kernelhealth_operator.policy.situation import (
    CONTROL_PLANE,
    IGNORE,
    Node,
    Policy,
    Report,
    Situation,
    Tally,
    Treatment,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
KNOWN: tuple[Remediation[Any], ...] = registry.load(remediations, "REMEDIATION", Remediation)
LEAK, PIN = "NetworkNamespaceLeaked", "UseGssProxyInContainer"
COOL_DOWN = timedelta(hours=1)
NAMES = ("control-1", "control-2", "worker-1", "worker-2", "worker-3")
ROUNDS = 40
EDITS = ("restore", "restore", "restore", "pause", "spoil", "remove a rule", "rename", "delete")
ODDITIES = ("agent silent", "reading fails", "node not ready", "person exempts", "node replaced")


class Stopped(Exception):  # noqa: N818 - it is no error that the operator is stopped
    """The operator was killed, or gave up after a refusal."""


@dataclass
class Machine:
    """A node as it really is; *hand* is who made it unschedulable."""

    node: Node
    hand: str | None = None
    reasons: frozenset[str] = frozenset()
    silent: bool = False
    unmeasured: frozenset[str] = frozenset()
    matched_since: dict[str, datetime] = field(default_factory=dict)
    past: list[Node] = field(default_factory=list)
    refused_at: datetime | None = None
    undone: set[str] = field(default_factory=set)
    seen_unwell: datetime | None = None

    def report(self, now: datetime) -> Report:
        findings = tuple(
            Finding(reason=each, severity=Severity.CRITICAL, message=each, since=START)
            for each in sorted(self.reasons - self.unmeasured)
        )
        health = Health.CRITICAL if findings else Health.HEALTHY
        return Report(health, findings, None, self.silent, now, self.unmeasured)


def policy_spec(**changes: Any) -> KernelHealthPolicySpec:
    rules = (
        Rule(
            name="leaks",
            match=Match(reasons=(LEAK,)),
            for_=timedelta(minutes=1),
            actions=({"cordon": {}},),
        ),
        Rule(name="pins", match=Match(reasons=(PIN,)), actions=({"cordon": {}},)),
    )
    values: dict[str, Any] = {
        "mode": Mode.AUTO,
        "rules": rules,
        "disruption": Disruption(max_unavailable=2, min_healthy=1),
        "recovery": Recovery(healthy_delay=timedelta(minutes=10), cool_down=COOL_DOWN),
    }
    return KernelHealthPolicySpec(**{**values, **changes})


class Course(RuleBasedStateMachine):
    """A cluster, the people in it, and the operator."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.version = 0
        self.machines: dict[str, Machine] = {}
        self.treatments: dict[str, Treatment] = {}
        self.past: dict[str, list[Treatment | None]] = {}
        self.policy: Policy | None = Policy("all", START, 1, policy_spec())
        self.deleted: set[str] = set()

    @initialize(sick=st.sets(st.sampled_from(NAMES), min_size=1), begun=st.booleans())
    def begins(self, sick: set[str], begun: bool) -> None:  # noqa: FBT001
        for name in NAMES:
            labels = {CONTROL_PLANE: ""} if name.startswith("control") else {}
            node = Node(name, f"uid-{name}", self._next(), labels, START, False, True)
            self.machines[name] = Machine(node)
        self.fall_ill(sick, LEAK)
        if begun:
            self.now += timedelta(minutes=2)
            self._settle()

    # What happens to nodes.

    @rule(names=st.sets(st.sampled_from(NAMES), min_size=1), reason=st.sampled_from((LEAK, PIN)))
    def fall_ill(self, names: set[str], reason: str) -> None:
        for name in names:
            self.machines[name].reasons |= {reason}
            self._look(name)

    @rule(name=st.sampled_from(NAMES))
    def gets_well(self, name: str) -> None:
        self.machines[name].reasons = frozenset()
        self._look(name)

    @rule(name=st.sampled_from(NAMES), what=st.sampled_from(ODDITIES), on=st.booleans())
    def something_else_happens(self, name: str, what: str, on: bool) -> None:  # noqa: FBT001
        machine = self.machines[name]
        match what:
            case "agent silent":
                machine.silent = on
            case "reading fails":
                machine.unmeasured = frozenset({LEAK} if on else ())
            case "node not ready":
                self._edit(name, ready=not on)
            case "person exempts":
                labels = {k: v for k, v in machine.node.labels.items() if k != IGNORE}
                self._edit(name, labels=labels | ({IGNORE: "true"} if on else {}))
            case _:
                uid = f"uid-{name}-{self.version}"
                node = Node(name, uid, self._next(), machine.node.labels, self.now, False, True)
                self.machines[name] = Machine(node)
        self._look(name)

    @rule(minutes=st.sampled_from((1, 5, 11, 61)))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    # What people do.

    @rule(name=st.sampled_from(NAMES))
    def person_cordons(self, name: str) -> None:
        node = self.machines[name].node
        if not node.unschedulable and node.cordon_owner is None:
            self._edit(name, unschedulable=True)
            self.machines[name].hand = "person"

    @rule(name=st.sampled_from(NAMES))
    def person_uncordons(self, name: str) -> None:
        machine = self.machines[name]
        if not machine.node.unschedulable:
            return
        treatment = self._open(name)
        ours = treatment is not None and (
            machine.node.cordon_owner == treatment.name
            or any(rung.state == "Done" for rung in treatment.status.rungs)
        )
        if machine.node.cordon_owner:
            # Also of a treatment that was deleted: the next one may be given the same name.
            machine.undone.add(machine.node.cordon_owner)
        if treatment is not None and ours:
            machine.refused_at = self.now
            machine.undone.add(treatment.name)
        self._edit(name, unschedulable=False)
        machine.hand = None

    @rule(name=st.sampled_from(NAMES), word=st.sampled_from(list(Decision)))
    def person_decides(self, name: str, word: Decision) -> None:
        treatment = self._open(name)
        if treatment is None or treatment.spec.decision in {Decision.REJECTED, Decision.CANCELLED}:
            return
        self._keep(replace(treatment, spec=treatment.spec.model_copy(update={"decision": word})))
        if word in {Decision.REJECTED, Decision.CANCELLED}:
            self.machines[name].refused_at = self.now

    @rule(name=st.sampled_from(NAMES))
    def person_deletes_the_treatment(self, name: str) -> None:
        treatment = self._open(name)
        if treatment is not None:
            del self.treatments[treatment.name]
            self.deleted.add(treatment.name)
            # With it goes the record of what people said about it.
            self.machines[name].refused_at = None

    @rule(
        mode=st.sampled_from((*Mode, Mode.AUTO, Mode.AUTO)),
        most=st.integers(0, 3),
        least=st.integers(0, 4),
    )
    def person_edits_the_policy(self, mode: Mode, most: int, least: int) -> None:
        disruption = Disruption(max_unavailable=most, min_healthy=least)
        self.policy = Policy("all", START, 1, policy_spec(mode=mode, disruption=disruption))
        self._look_everywhere()

    @rule(what=st.sampled_from(EDITS))
    def person_changes_the_policy_otherwise(self, what: str) -> None:
        old = self.policy or Policy("all", START, 1, policy_spec())
        pause = {"pause_requests": ("ann: upgrade of the network",)}
        self.policy = {
            "restore": Policy("all", START, 1, policy_spec()),
            "pause": replace(old, spec=old.spec.model_copy(update=pause)),
            "spoil": replace(old, problems=("no such reason",)),
            "remove a rule": Policy("all", START, 1, policy_spec(rules=policy_spec().rules[1:])),
            "rename": Policy("other", START, 1, policy_spec()),
            "delete": None,
        }[what]
        self._look_everywhere()

    # What the operator does.

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=6))
    def operator_works(self, names: list[str]) -> None:
        for name in names:
            self._operate(name, self._situation(name))

    @rule(name=st.sampled_from(NAMES), old_node=st.integers(0, 3), old_treatment=st.integers(0, 3))
    def operator_works_from_old_views(self, name: str, old_node: int, old_treatment: int) -> None:
        self._operate(name, self._situation(name, old_node, old_treatment))

    @rule(name=st.sampled_from(NAMES), steps=st.integers(0, 3))
    def operator_is_killed(self, name: str, steps: int) -> None:
        self._operate(name, self._situation(name), stop_after=steps)

    @rule(name=st.sampled_from(NAMES), steps=st.integers(0, 2), cordon=st.booleans())
    def person_interferes(self, name: str, steps: int, cordon: bool) -> None:  # noqa: FBT001
        def meddle() -> None:
            if cordon:
                self.person_cordons(name)
                return
            if (treatment := self._open(name)) and self.machines[name].node.unschedulable:
                # Between two steps even somebody else's cordon counts as taken over.
                self.machines[name].undone.add(treatment.name)
            self.person_uncordons(name)

        self._operate(name, self._situation(name), before=(steps, meddle))

    @rule()
    def operator_catches_up(self) -> None:
        self._settle()

    # What must hold.

    @invariant()
    def one_treatment_at_a_time(self) -> None:
        for name in self.machines:
            uid = self.machines[name].node.uid
            mine = [t for t in self._of(name) if not t.status.phase.final]
            assert len([t for t in mine if t.spec.node_uid == uid]) <= 1

    @invariant()
    def what_is_marked_as_ours_was_never_made_by_a_person(self) -> None:
        for machine in self.machines.values():
            if machine.node.cordon_owner and machine.node.unschedulable:
                assert machine.hand == "operator"

    @invariant()
    def what_is_over_has_left_nothing_behind(self) -> None:
        for machine in self.machines.values():
            owner = self.treatments.get(machine.node.cordon_owner or "")
            if owner is not None and owner.status.phase.final:
                # A deleted one leaves its cordon, and its name may be given again before the
                # operator has looked; then that is tidied up, as the end of the test asks.
                assert owner.name in self.deleted

    def teardown(self) -> None:
        """Every incident ends once all is well, unpaused and reporting; then nothing moves."""
        if not self.machines:
            return
        self.policy = Policy("all", START, 1, policy_spec())
        for name, machine in self.machines.items():
            machine.reasons, machine.unmeasured, machine.silent = frozenset(), frozenset(), False
            self._look(name)
        by_people = {name for name, each in self.machines.items() if each.hand == "person"}
        for _ in range(3):
            self._settle()
            self.now += timedelta(minutes=10)
        self._settle()
        assert all(each.status.phase.final for each in self.treatments.values())
        for name, machine in self.machines.items():
            assert machine.node.cordon_owner is None
            assert machine.node.unschedulable == (name in by_people)

    # The cluster.

    def _next(self) -> str:
        self.version += 1
        return str(self.version)

    def _of(self, name: str) -> list[Treatment]:
        mine = [each for each in self.treatments.values() if each.spec.node_name == name]
        return sorted(mine, key=lambda each: each.created)

    def _open(self, name: str) -> Treatment | None:
        return next((t for t in self._of(name) if not t.status.phase.final), None)

    def _edit(self, name: str, **changes: Any) -> None:
        machine = self.machines[name]
        changed = replace(machine.node, **changes)
        if changed != machine.node:
            machine.past.append(machine.node)
            machine.node = replace(changed, resource_version=self._next())

    def _keep(self, treatment: Treatment) -> None:
        before = self.treatments.get(treatment.name)
        self.past.setdefault(treatment.name, []).append(before)
        self.treatments[treatment.name] = replace(treatment, resource_version=self._next())

    # The operator: what it sees.

    def _look(self, name: str) -> None:
        machine = self.machines[name]
        if self.policy is None or machine.silent:
            return
        matching = match.matching(self.policy, machine.report(self.now))
        since = machine.matched_since
        machine.matched_since = {each: since.get(each, self.now) for each in matching}

    def _look_everywhere(self) -> None:
        for name in self.machines:
            self._look(name)

    def _share(self, name: str) -> Tally:
        machine = self.machines[name]
        return tally.share(machine.node, machine.report(self.now), self._open(name))

    def _others(self, name: str) -> Tally:
        total = Tally()
        for other in self.machines:
            if other != name:
                total = tally.add(total, self._share(other))
        return total

    def _treated(self) -> frozenset[str]:
        return frozenset(
            name
            for name, machine in self.machines.items()
            if machine.node.control_plane and tally.under_way(self._open(name))
        )

    def _situation(self, name: str, old_node: int = 0, old_treatment: int = 0) -> Situation:
        machine = self.machines[name]
        node = ([*machine.past, machine.node])[-1 - min(old_node, len(machine.past))]
        mine = [self._seen(each, old_treatment) for each in self._of(name)]
        seen = [each for each in mine if each is not None]
        ended = [each for each in seen if each.status.phase.final]
        ended.sort(key=lambda each: (each.created, int(each.resource_version)), reverse=True)
        return Situation(
            now=self.now,
            node=node,
            report=machine.report(self.now),
            policy=self.policy,
            treatment=next((each for each in seen if not each.status.phase.final), None),
            others=self._others(name),
            control_plane_treated=self._treated(),
            recent=tuple(ended),
            matched_since=machine.matched_since,
            owner_missing=node.cordon_owner not in self.treatments,
        )

    def _seen(self, treatment: Treatment, age: int) -> Treatment | None:
        past = self.past.get(treatment.name, [])
        return [*past, treatment][-1 - min(age, len(past))]

    # The operator: what it does.

    def _operate(
        self,
        name: str,
        situation: Situation,
        stop_after: int | None = None,
        before: tuple[int, Callable[[], None]] | None = None,
    ) -> int:
        steps = decide(situation, KNOWN).steps
        self._check_writes(situation, steps)
        try:
            for index, step in enumerate(steps):
                if index == stop_after:
                    return index
                if before is not None and before[0] == index:
                    before[1]()
                self._execute(name, step, cut=stop_after == index + 1)
        except Stopped:
            return len(steps)
        self._note(name)
        return len(steps)

    def _note(self, name: str) -> None:
        """Remember when the operator last had the chance to know that the node is unwell."""
        machine = self.machines[name]
        rules = self.policy.spec.rules if self.policy else ()
        answered = {reason for each in rules for reason in each.match.reasons}
        if machine.silent or answered & (machine.reasons - machine.unmeasured):
            machine.seen_unwell = self.now

    @staticmethod
    def _check_writes(situation: Situation, steps: tuple[Step, ...]) -> None:
        kinds = [type(step) for step in steps if not isinstance(step, Announce)]
        assert len(kinds) == len(set(kinds))
        if kinds == [SetStatus]:
            assert situation.treatment is not None
            assert (
                SetStatus(
                    situation.treatment.name,
                    situation.treatment.resource_version,
                    situation.treatment.status,
                )
                not in steps
            )

    def _execute(self, name: str, step: Step, *, cut: bool) -> None:
        match step:
            case OpenRemediation(treatment, spec, status):
                self._create(treatment, spec)
                if not cut:
                    self._write(treatment, self.treatments[treatment].resource_version, status)
            case SetStatus(treatment, version, status):
                self._write(treatment, version, status)
            case ChangeNode(action):
                self._patch(name, action)

    def _create(self, name: str, spec: NodeRemediationSpec) -> None:
        if name in self.treatments:
            raise Stopped
        self.past[name] = []
        self._keep(Treatment(name, "", self.now, spec, NodeRemediationStatus()))

    def _write(self, name: str, version: str, status: NodeRemediationStatus) -> None:
        treatment = self.treatments.get(name)
        if treatment is None or treatment.resource_version != version:
            raise Stopped
        assert not treatment.status.phase.final
        if any(rung.state == "Overruled" for rung in status.rungs):
            assert name in self.machines[treatment.spec.node_name].undone
        if status != treatment.status:
            self._keep(replace(treatment, status=status))

    def _patch(self, name: str, action: PatchNode) -> None:
        machine = self.machines[name]
        assert action.body["metadata"]["resourceVersion"] == action.resource_version
        if machine.node.resource_version != action.resource_version:
            raise Stopped
        changes: dict[str, Any] = {
            "cordon_owner": action.body["metadata"]["annotations"][CORDONED_BY]
        }
        if "spec" in action.body:
            changes["unschedulable"] = bool(action.body["spec"]["unschedulable"])
            if changes["unschedulable"]:
                self._may_cordon(name)
                machine.hand = "operator"
            else:
                self._may_uncordon(name)
                machine.hand = None
        self._edit(name, **changes)

    def _may_cordon(self, name: str) -> None:
        machine, treatment, policy = self.machines[name], self._open(name), self.policy
        assert not machine.node.unschedulable
        assert treatment is not None
        assert treatment.spec.node_uid == machine.node.uid
        assert policy is not None
        assert policy.name == treatment.spec.policy
        assert not policy.spec.pause_requests
        assert not policy.problems
        assert not machine.node.opted_out
        assert not machine.silent
        plan = next(each for each in policy.spec.rules if each.name == treatment.spec.rule)
        assert set(plan.match.reasons) & (machine.reasons - machine.unmeasured)
        approved = treatment.spec.decision is Decision.APPROVED
        assert policy.spec.mode is Mode.AUTO or (policy.spec.mode is Mode.PROPOSE and approved)
        others, disruption = self._others(name), policy.spec.disruption
        assert others.unavailable + 1 <= int(disruption.max_unavailable)
        assert others.sound >= int(disruption.min_healthy)
        assert budget.room(disruption, others)
        if machine.node.control_plane:
            assert self._treated() <= {name}
        if machine.refused_at is not None:
            assert self.now >= machine.refused_at + COOL_DOWN

    def _may_uncordon(self, name: str) -> None:
        machine, treatment, policy = self.machines[name], self._open(name), self.policy
        assert machine.hand == "operator"
        assert policy is None or not policy.spec.pause_requests
        if treatment is None or treatment.spec.decision in {Decision.REJECTED, Decision.CANCELLED}:
            return
        assert not machine.silent
        assert policy is None or not policy.problems
        if treatment.status.healthy_since is not None:
            assert policy is not None
            answered = {reason for each in policy.spec.rules for reason in each.match.reasons}
            assert not answered & machine.reasons
            assert machine.seen_unwell is not None
            assert self.now >= machine.seen_unwell + timedelta(minutes=10)
            assert self.now >= treatment.status.healthy_since + timedelta(minutes=10)

    def _settle(self) -> None:
        """Work on every node until nothing is left to do, which must come soon."""
        for _ in range(ROUNDS):
            if not sum(self._operate(name, self._situation(name)) for name in self.machines):
                return
        raise AssertionError(f"still at work after {ROUNDS} rounds")


TestAnyCourseOfEvents = Course.TestCase
TestAnyCourseOfEvents.settings = settings(
    max_examples=400,
    stateful_step_count=60,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
