"""Whatever happens, in whatever order: the operator keeps its promises, and every incident ends.

The operator decides from views that may be old, is stopped before and after any write, does not
hear that one was carried out, sends one twice, and has one arrive when another operator leads.
Hosts answer late, never or twice, boot, and die in the middle of a deed. People cordon, uncordon,
approve, cancel, delete, pause and edit, also between any two writes.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kernelhealth_api.remediation import CORDONED_BY, TAINTED_BY
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Disruption, Mode
from kernelhealth_api.v1alpha1.noderemediation import Decision
from kernelhealth_e2e.strictness import is_strict
from kernelhealth_operator.policy.situation import IGNORE, Policy

from .hosts import LEAK, PIN, RESIDUE, Host
from .promises import MARKS, REFUSALS
from .replica import Trouble
from .server import OPERATOR
from .world import MOST, NAMES, PLANS, START, World, spec

RUNS = int(os.environ.get("KERNELHEALTH_COURSES", "10000" if is_strict() else "300"))
"""How many courses are played: ten thousand where nothing may be left out."""
STEPS = 20
EDITS = ("restore", "restore", "restore", "pause", "spoil", "remove a rule", "rename", "delete")
ODDITIES = (
    "agent silent",
    "reading fails",
    "not ready",
    "exempt",
    "replaced",
    "clock ahead",
    "clock behind",
    "stubborn",
    "boots",
    "blocked",
)
TROUBLES = ("killed before", "killed after", "lost", "twice", "late", "meddle")
MEDDLING = ("uncordon", "cordon", "cancel", "delete", "hear", "take over", "pause")
WATCHES = ("node", "treatments", "health", "")
names = st.sampled_from(NAMES)
pairs = st.sampled_from([(name, what) for name in NAMES for what in ODDITIES])
troubles = st.sampled_from(
    [(n, at, how) for n in NAMES for at in range(4) for how in (*TROUBLES, *TROUBLES[:2])]
)


class Course(RuleBasedStateMachine):
    """A cluster, the people in it, and the operator."""

    world: World
    lasts: bool

    @initialize(
        plan=st.integers(0, len(PLANS) - 1),
        sick=st.sets(names, min_size=1),
        stubborn=st.booleans(),
        begun=st.booleans(),
        lasts=st.sampled_from((False, False, True)),
    )
    def begins(
        self,
        plan: int,
        sick: set[str],
        stubborn: bool,  # noqa: FBT001
        begun: bool,  # noqa: FBT001
        lasts: bool,  # noqa: FBT001
    ) -> None:
        self.world, self.lasts = World(plan), lasts
        for name in sick:
            self.world.hosts[name].stubborn = stubborn
            self.fall_ill((name, LEAK))
        if begun:
            self.everything_is_looked_at()
            self.world.server.now += timedelta(minutes=2)
            self.everything_is_looked_at()

    # What happens to hosts.

    @rule(what=st.sampled_from([(n, r) for n in NAMES for r in (LEAK, PIN, RESIDUE)]))
    def fall_ill(self, what: tuple[str, str]) -> None:
        name, reason = what
        self.world.hosts[name].reasons |= {reason}
        self.world.report(name)

    @rule(name=names)
    def gets_well(self, name: str) -> None:
        self.world.hosts[name].reasons = frozenset()
        self.world.report(name)

    @rule(pair=pairs, on=st.booleans())
    def something_else_happens(self, pair: tuple[str, str], on: bool) -> None:  # noqa: FBT001
        name, what = pair
        world, host = self.world, self.world.hosts[name]
        match what:
            case "agent silent":
                (world.silent.add if on else world.silent.discard)(name)
            case "reading fails":
                host.unmeasured = frozenset({LEAK} if on else ())
            case "not ready":
                self._edit(name, {"status": {"conditions": _ready(not on)}}, "kubelet")
            case "exempt":
                self._edit(name, {"metadata": {"labels": {IGNORE: "true" if on else None}}})
            case "replaced":
                world.leave(name)
                if on:
                    world.join(name)
            case "blocked":
                world.server.budget = 0 if on else 1
            case _:
                _befalls(host, what, on=on, now=world.now)
        if name not in world.server.nodes and what != "replaced":
            world.join(name)
        world.report(name)

    @rule(name=names, dies=st.sampled_from(("", "", "", "before", "after")), tells=st.booleans())
    def agent_works(self, name: str, dies: str, tells: bool) -> None:  # noqa: FBT001
        self.world.agent_works(name, dies)
        if tells:
            self.world.report(name)

    @rule()
    def pods_end(self) -> None:
        self.world.server.bury()

    @rule(minutes=st.sampled_from((1, 6, 11, 61, 600)))
    def time_passes(self, minutes: int) -> None:
        self.world.server.now += timedelta(minutes=minutes)
        for name in NAMES:
            self.world.report(name)

    # What people do.

    @rule(name=names)
    def person_cordons(self, name: str) -> None:
        self._edit(name, {"spec": {"unschedulable": True}})

    @rule(name=names)
    def person_uncordons_and_cordons_again(self, name: str) -> None:
        """Which makes the cordon another one, though it looks the same."""
        if "unschedulable" in self.world.server.nodes.get(name, {}).get("spec", {}):
            self.person_uncordons(name)
            self.person_cordons(name)

    @rule(name=names)
    def person_uncordons(self, name: str) -> None:
        world, node = self.world, self.world.server.nodes.get(name)
        if node is None or not node["spec"].get("unschedulable"):
            return
        owner = node["metadata"]["annotations"].get(CORDONED_BY)
        treatment = world.open(name)
        borne = treatment is not None and any(
            rung.action == "cordon" and rung.state in {"Done", "Reverting"}
            for rung in treatment.status.rungs
        )
        world.promises.uncordoned |= {owner} if owner else set()
        if treatment is not None and (owner == treatment.name or borne):
            world.promises.uncordoned.add(treatment.name)
            world.promises.refused_at[name] = world.now
        self._edit(name, {"spec": {"unschedulable": None}})

    @rule(name=names, word=st.sampled_from(list(Decision)))
    def person_decides(self, name: str, word: Decision) -> None:
        treatment = self.world.open(name)
        if treatment is None or treatment.spec.decision in REFUSALS:
            return
        stored = self.world.server.remediations
        self.world.server.edit(stored, treatment.name, {"spec": {"decision": word.value}})
        if word in REFUSALS and self._is_there(name, treatment.spec.node_uid):
            self.world.promises.refused_at[name] = self.world.now

    @rule(name=names)
    def person_deletes_the_treatment_and_the_operator_looks(self, name: str) -> None:
        self.person_deletes_the_treatment(name)
        for _ in range(4):
            self.everything_is_looked_at()

    @rule(name=names)
    def person_deletes_the_treatment(self, name: str) -> None:
        treatment = self.world.open(name)
        if treatment is not None:
            del self.world.server.remediations[treatment.name]
            # Times on the wire have whole seconds, and no person is faster than that.
            self.world.server.now += timedelta(seconds=1)
            # With it goes the record of what people said about it.
            self.world.promises.refused_at.pop(name, None)

    @rule(
        mode=st.sampled_from((*Mode, Mode.AUTO, Mode.AUTO)),
        most=st.integers(0, 3),
        least=st.integers(0, 4),
    )
    def person_edits_the_policy(self, mode: Mode, most: int, least: int) -> None:
        disruption = Disruption(max_unavailable=most, min_healthy=least)
        changed = spec(self.world.plan, mode=mode, disruption=disruption)
        self.world.rule(Policy("all", START, 1, changed))

    @rule(what=st.sampled_from(EDITS))
    def person_changes_the_policy_otherwise(self, what: str) -> None:
        plan = self.world.plan
        old = self.world.policy or Policy("all", START, 1, spec(plan))
        paused = old.spec.model_copy(update={"pause_requests": ("ann: upgrade",)})
        match what:
            case "restore":
                self.world.rule(Policy("all", START, 1, spec(plan)))
            case "pause":
                self.world.rule(Policy(old.name, START, 1, paused, old.problems))
            case "spoil":
                self.world.rule(Policy(old.name, START, 1, old.spec, ("no such reason",)))
            case "remove a rule":
                changed = spec(plan, rules=spec(plan).rules[1:])
                self.world.rule(Policy("all", START, 1, changed))
            case "rename":
                self.world.rule(Policy("other", START, 1, spec(plan)))
            case _:
                self.world.rule(None)

    # What the operator does.

    @rule(heard=st.sets(names), only=st.sampled_from(WATCHES))
    def watches_bring_news(self, heard: set[str], only: str) -> None:
        for name in sorted(heard):
            self.world.hear(name, only)

    @rule(some=st.lists(names, min_size=1, max_size=6), heard=st.booleans())
    def operator_works(self, some: list[str], heard: bool) -> None:  # noqa: FBT001
        for name in some:
            if heard:
                self.world.hear(name)
            self.world.operate(name)

    @rule(trouble=troubles, heard=st.booleans(), meddling=st.sampled_from(MEDDLING))
    def operator_has_trouble(
        self,
        trouble: tuple[str, int, str],
        heard: bool,  # noqa: FBT001
        meddling: str,
    ) -> None:
        name, at, how = trouble
        if heard:
            self.world.hear(name)
        self.world.operate(name, Trouble(at, how, lambda: self._meddle(name, meddling)))

    @rule()
    def a_late_write_arrives(self) -> None:
        self.world.land()

    @rule()
    def another_operator_leads(self) -> None:
        self.world.take_over()

    @rule()
    def everything_is_looked_at(self) -> None:
        for name in NAMES:
            self.world.hear(name)
            self.world.operate(name)

    # What must hold.

    @invariant()
    def one_treatment_at_a_time(self) -> None:
        for name, node in self.world.server.nodes.items():
            uid = node["metadata"]["uid"]
            mine = [t for t in self.world.treatments(name) if not t.status.phase.final]
            assert len([t for t in mine if t.spec.node_uid == uid]) <= 1

    @invariant()
    def each_request_is_carried_out_once(self) -> None:
        for host in self.world.hosts.values():
            assert max(host.done.values(), default=0) <= 1

    def teardown(self) -> None:
        """Every incident ends: those that last as Ineffective, and all when the nodes get well."""
        if not hasattr(self, "world"):
            return
        self._calms_down()
        if self.lasts:
            self._what_lasts_ends()
        self._all_get_well()

    def _calms_down(self) -> None:
        world = self.world
        while world.late:
            world.land()
        world.rule(Policy("all", START, 1, spec(world.plan)))
        world.server.budget = 1
        world.silent.clear()
        for name in NAMES:
            if name not in world.server.nodes:
                world.join(name)
            host = world.hosts[name]
            host.unmeasured, host.clock = frozenset(), timedelta(0)
            self._edit(name, {"status": {"conditions": _ready(True)}}, "kubelet")
            world.report(name)

    def _what_lasts_ends(self) -> None:
        world = self.world
        # Treatments may have to go one by one, and each to wait for the window of the next day.
        for jump in range(150):
            world.settle()
            if not self._unfinished():
                break
            world.server.now += timedelta(minutes=61 if jump < 30 else 125)
        assert not self._unfinished(), self._unfinished()

    def _unfinished(self) -> list[str]:
        """What is still to come, though all is calm."""
        found = ((name, self.world.open(name)) for name in NAMES)
        return [
            f"{treatment.name} waits for {treatment.status.waiting_for!r}"
            for name, treatment in found
            if treatment and not self._may_last(name, treatment.status.waiting_for or "")
        ]

    def _may_last(self, name: str, why: str) -> bool:
        """Whether a treatment may go on for as long as its node is sick, though all is calm.

        It may where nothing is left to do, and where others that are as sick take up the room.
        """
        if why.startswith("MaxUnavailable"):
            return len([one for one in NAMES if one != name and self._is_out(one)]) >= MOST
        if why.startswith("ControlPlaneBusy"):
            return any(one != name and self._is_out(one) for one in NAMES)
        if why.startswith("ForeignCordon"):
            return self.world.server.hand(name) == "person"
        return why.startswith(("FindingsRemain", "StormAftermath"))

    def _is_out(self, name: str) -> bool:
        """Whether a Node is out of service, or something is being done to it."""
        node, treatment = self.world.server.nodes[name], self.world.open(name)
        done = treatment is not None and any(
            rung.state != "Pending" for rung in treatment.status.rungs
        )
        return done or "unschedulable" in node["spec"] or bool(_tainted(node))

    def _all_get_well(self) -> None:
        world = self.world
        for host in world.hosts.values():
            host.reasons = frozenset()
        by_people = {n for n in NAMES if world.server.hand(n) not in {None, OPERATOR}}
        for _ in range(6):
            world.settle()
            if not any(world.open(name) for name in NAMES):
                break
            world.server.now += timedelta(minutes=11)
        for name in NAMES:
            node = world.server.nodes[name]
            assert all(one.status.phase.final for one in world.treatments(name))
            assert not any(node["metadata"]["annotations"].get(mark) for mark in MARKS)
            assert bool(node["spec"].get("unschedulable")) == (name in by_people)
            assert [one["key"] for one in node["spec"]["taints"]] == ["team"]
            assert world.request(name) is None

    def _meddle(self, name: str, what: str) -> None:
        match what:
            case "uncordon":
                if treatment := self.world.open(name):
                    # Between two writes even somebody else's cordon counts as taken over.
                    self.world.promises.uncordoned.add(treatment.name)
                self.person_uncordons(name)
            case "cordon":
                self.person_cordons(name)
            case "cancel":
                self.person_decides(name, Decision.CANCELLED)
            case "delete":
                self.person_deletes_the_treatment(name)
            case "hear":
                self.everything_is_heard()
            case "take over":
                self.world.take_over()
            case _:
                self.person_changes_the_policy_otherwise("pause")

    def everything_is_heard(self) -> None:
        for name in NAMES:
            self.world.hear(name)

    def _edit(self, name: str, change: dict[str, Any], manager: str = "person") -> None:
        if name in self.world.server.nodes:
            self.world.server.edit(self.world.server.nodes, name, change, manager)

    def _is_there(self, name: str, uid: str) -> bool:
        node = self.world.server.nodes.get(name)
        return node is not None and bool(node["metadata"]["uid"] == uid)


def _befalls(host: Host, what: str, *, on: bool, now: datetime) -> None:
    match what:
        case "clock ahead" | "clock behind":
            minutes = 3 if what.endswith("ahead") else -3
            host.clock = timedelta(minutes=minutes if on else 0)
        case "stubborn":
            host.stubborn = on
        case "boots":
            host.reboot(now)


def _ready(on: bool) -> list[dict[str, str]]:  # noqa: FBT001
    return [{"type": "Ready", "status": "True" if on else "False"}]


def _tainted(node: dict[str, Any]) -> str | None:
    owner: str | None = node["metadata"]["annotations"].get(TAINTED_BY)
    return owner


TestAnyCourseOfEvents = Course.TestCase
TestAnyCourseOfEvents.settings = settings(
    max_examples=RUNS,
    stateful_step_count=STEPS,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
