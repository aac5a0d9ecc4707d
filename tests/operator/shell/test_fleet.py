from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelhealth_operator import gather, kinds, upkeep
from kernelhealth_operator.fleet import Clock, Fleet
from kernelhealth_operator.headcount import Listener
from kernelhealth_operator.policy.situation import Policy, Situation, Tally
from kernelhealth_operator.silence import Hearing

START = datetime(2026, 1, 1, tzinfo=UTC)
LEAK = "NetworkNamespaceLeaked"
REASONS = {"NetworkNamespacesHealthy": frozenset({LEAK})}


@dataclass
class World:
    """A fleet with a clock that stands still, and what its listeners were told."""

    seconds: float = 0.0
    nodes: list[str] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)
    version: int = 0
    fleet: Fleet = field(init=False)

    def __post_init__(self) -> None:
        clock = Clock(lambda: START + timedelta(seconds=self.seconds), lambda: self.seconds)
        listener = Listener(self.nodes.append, self.policies.append)
        self.fleet = Fleet(clock, Hearing(100.0), listener, REASONS)

    def next(self) -> str:
        self.version += 1
        return str(self.version)

    def node(self, name: str, *, ready: bool = True, **labels: str) -> None:
        self.fleet.put_node(
            kinds.node_of(
                {
                    "metadata": self.metadata(name, "n") | {"labels": labels},
                    "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
                }
            )
        )

    def health(self, name: str, health: str = "Healthy", *reasons: str, **status: Any) -> None:
        findings = [
            {"reason": one, "severity": "Critical", "message": "m", "since": START.isoformat()}
            for one in reasons
        ]
        stamp = (START + timedelta(seconds=int(self.next()))).isoformat()
        body = {"health": health, "findings": findings, "lastReportTime": stamp} | status
        metadata = self.metadata(name, "h")
        self.fleet.put_health(kinds.health_of({"metadata": metadata, "status": body}))

    def policy(self, name: str, **spec: Any) -> None:
        metadata = self.metadata(name, "p") | {"creationTimestamp": START.isoformat()}
        view = kinds.policy_of({"metadata": metadata, "spec": spec})
        self.fleet.put_policy(Policy(name, view.created, self.version, view.spec))

    def treatment(self, name: str, node: str, phase: str, **status: Any) -> None:
        metadata = self.metadata(name, "t") | {"creationTimestamp": START.isoformat()}
        spec = {
            "nodeName": node,
            "nodeUid": f"n-{node}",
            "policy": "all",
            "rule": "r",
            "reasons": [LEAK],
            "plan": [{"cordon": {}}],
        }
        body = {"metadata": metadata, "spec": spec, "status": {"phase": phase} | status}
        self.fleet.put_treatment(kinds.treatment_of(body))

    def metadata(self, name: str, kind: str) -> dict[str, Any]:
        return {"name": name, "uid": f"{kind}-{name}", "resourceVersion": self.next()}


@pytest.fixture
def world() -> World:
    return World()


def test_a_change_of_one_node_moves_the_counts_of_its_policy(world: World) -> None:
    world.policy("all")
    world.node("alpha")
    world.health("alpha")
    world.node("beta", ready=False)

    counted = world.fleet.headcount.tally("all")

    assert counted == Tally(nodes=2, unavailable=1, sound=1, healthy=1, unknown=1)


def test_a_node_whose_labels_change_moves_to_another_policy(world: World) -> None:
    world.policy("all")
    world.policy("gpu", priority=1, nodeSelector={"matchLabels": {"pool": "gpu"}})
    world.node("alpha")

    world.node("alpha", pool="gpu")

    assert world.fleet.headcount.tally("all") == Tally()
    assert world.fleet.headcount.tally("gpu").nodes == 1


def test_a_heartbeat_of_the_kubelet_wakes_nobody(world: World) -> None:
    world.node("alpha")
    world.nodes.clear()

    world.node("alpha")

    assert world.nodes == []


def test_room_that_is_made_wakes_those_who_wait_for_it(world: World) -> None:
    world.policy("all")
    for name in ("alpha", "beta", "gamma"):
        world.node(name)
    world.treatment("t1", "alpha", "Running")
    world.treatment("t2", "beta", "Waiting", waitingFor="MaxUnavailable: there is no room")
    world.nodes.clear()

    world.treatment("t1", "alpha", "Succeeded")

    assert "beta" in world.nodes
    assert "gamma" not in world.nodes


def test_what_a_node_adds_is_not_among_the_others(world: World) -> None:
    world.policy("all")
    world.node("alpha", ready=False)
    world.node("beta")
    standing = world.fleet.standing("alpha")
    assert standing is not None

    situation = gather.situation(world.fleet, standing, START, gather.Said())

    assert situation.others == Tally(nodes=1, unknown=1)


def test_the_time_of_a_rule_counts_from_the_first_report_and_anew_after_a_break(
    world: World,
) -> None:
    rule = {"name": "leaking", "match": {"reasons": [LEAK]}, "actions": [{"cordon": {}}]}
    world.policy("all", rules=[rule])
    world.node("alpha")
    world.health("alpha", "Critical", LEAK)
    world.seconds = 50.0
    world.health("alpha", "Critical", LEAK)
    before = world.fleet.standing("alpha")
    world.health("alpha")
    world.seconds = 60.0
    world.health("alpha", "Critical", LEAK)
    after = world.fleet.standing("alpha")

    assert before is not None
    assert after is not None
    assert before.matched_since == {"leaking": START}
    assert after.matched_since == {"leaking": START + timedelta(seconds=60)}


def test_the_time_of_a_rule_starts_anew_under_another_policy(world: World) -> None:
    rule = {"name": "leaking", "match": {"reasons": [LEAK]}, "actions": [{"cordon": {}}]}
    world.policy("all", rules=[rule])
    world.node("alpha")
    world.health("alpha", "Critical", LEAK)
    world.seconds = 60.0

    world.policy("precious", rules=[{**rule, "for": "1h"}], priority=1)

    standing = world.fleet.standing("alpha")
    assert standing is not None
    assert (standing.policy, standing.losers) == ("precious", ("all",))
    assert standing.matched_since == {"leaking": START + timedelta(seconds=60)}
    assert world.fleet.headcount.overridden("all") == 1


def test_time_alone_makes_a_node_unknown(world: World) -> None:
    world.policy("all")
    world.node("alpha")
    world.health("alpha")

    world.seconds = 100.0
    world.fleet.refresh("alpha")

    assert world.fleet.headcount.tally("all").unknown == 1


def test_the_object_of_an_earlier_node_of_that_name_is_no_report(world: World) -> None:
    body = {"health": "Healthy", "lastReportTime": START.isoformat()}
    owner = {"kind": "Node", "uid": "n-somebody-else"}
    metadata = world.metadata("alpha", "h") | {"ownerReferences": [owner]}
    world.node("alpha")

    world.fleet.put_health(kinds.health_of({"metadata": metadata, "status": body}))

    standing = world.fleet.standing("alpha")
    assert standing is not None
    assert standing.report is None


def test_a_reason_whose_condition_could_not_be_measured_is_unmeasured(world: World) -> None:
    unknown = {
        "type": "NetworkNamespacesHealthy",
        "status": "Unknown",
        "reason": "ReadFailed",
        "lastTransitionTime": START.isoformat(),
    }
    world.node("alpha")

    world.health("alpha", "Unknown", conditions=[unknown])
    failed = world.fleet.standing("alpha")
    world.health("alpha", "Healthy", conditions=[unknown | {"reason": "NotAvailable"}])
    absent = world.fleet.standing("alpha")

    assert failed is not None
    assert failed.report is not None
    assert failed.report.unmeasured == {LEAK}
    assert absent is not None
    assert absent.report is not None
    assert absent.report.unmeasured == frozenset()


_NAMES = st.sampled_from(["alpha", "beta", "gamma"])
_CHANGES = st.one_of(
    st.tuples(st.just("node"), _NAMES, st.booleans(), st.sampled_from(["cpu", "gpu"])),
    st.tuples(st.just("health"), _NAMES, st.sampled_from(["Healthy", "Warning", "Critical"])),
    st.tuples(st.just("treatment"), _NAMES, st.sampled_from(["Waiting", "Running", "Succeeded"])),
    st.tuples(st.just("gone"), _NAMES),
    st.tuples(st.just("policy"), st.integers(-1, 1)),
    st.tuples(st.just("time"), st.floats(0, 60)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_CHANGES, max_size=30))
def test_whatever_happens_the_counts_are_the_sum_of_the_nodes(changes: list[Any]) -> None:
    world = World()
    world.policy("all")

    for change in changes:
        _happen(world, change)

    for policy in ("all", "gpu", None):
        parts = [one.share for one in world.fleet.standings() if one.policy == policy]
        counted = world.fleet.headcount.tally(policy)
        for name in (each.name for each in fields(Tally)):
            assert getattr(counted, name) == sum(getattr(part, name) for part in parts)


def _happen(world: World, change: Any) -> None:
    match change:
        case ("node", name, ready, pool):
            world.node(name, ready=ready, pool=pool)
        case ("health", name, health):
            world.health(name, health)
        case ("treatment", name, phase):
            world.treatment(f"t-{name}", name, phase)
        case ("gone", name):
            view = world.fleet.nodes.get(name)
            if view is not None:
                world.fleet.drop_node(view)
        case ("policy", priority):
            selector = {"matchLabels": {"pool": "gpu"}}
            world.policy("gpu", priority=priority, nodeSelector=selector)
        case ("time", seconds):
            world.seconds += seconds


def test_the_nodes_of_a_policy_stand_in_the_queue_by_what_is_wrong_with_them(
    world: World,
) -> None:
    world.policy("all")
    for name, reasons in (("alpha", ()), ("beta", (LEAK,))):
        world.node(name)
        world.health(name, "Critical", *reasons)
        world.treatment(f"t-{name}", name, "Waiting", waitingFor="MaxUnavailable: no room")

    ahead = [_situation(world, name).ahead for name in ("alpha", "beta")]

    assert ahead == [1, 0]


def test_who_goes_away_from_the_queue_wakes_the_first_in_it(world: World) -> None:
    world.policy("all")
    for name in ("alpha", "beta"):
        world.node(name)
        world.health(name, "Critical", LEAK)
        world.treatment(f"t-{name}", name, "Waiting", waitingFor="MaxUnavailable: no room")
    world.nodes.clear()

    world.treatment("t-alpha", "alpha", "Waiting", waitingFor="AgentSilent: it has gone quiet")

    assert "beta" in world.nodes
    assert _situation(world, "beta").ahead == 0


def test_who_begins_wakes_nobody_in_the_queue(world: World) -> None:
    world.policy("all")
    for name in ("alpha", "beta"):
        world.node(name)
        world.health(name, "Critical", LEAK)
        world.treatment(f"t-{name}", name, "Waiting", waitingFor="MaxUnavailable: no room")
    world.nodes.clear()

    world.treatment("t-alpha", "alpha", "Running")

    assert "beta" not in world.nodes


def test_the_age_of_a_boot_is_counted_by_the_clock_of_the_operator(world: World) -> None:
    world.policy("all")
    world.node("alpha")
    world.health("alpha", bootTime=(START - timedelta(hours=5)).isoformat())

    world.seconds = 3600.0
    report = _situation(world, "alpha").report

    assert report is not None
    assert report.uptime == timedelta(hours=6)


@given(st.permutations(range(6)))
def test_a_queue_does_not_start_over_with_an_operator_that_learns_of_it_in_another_order(
    order: list[int],
) -> None:
    world = World()
    world.policy("all", disruption={"maxUnavailable": "100%"})
    for number in order:
        name = f"node-{number}"
        due = (START + timedelta(days=9 - number // 2)).isoformat()
        found = {"reason": LEAK, "severity": "Critical", "message": "m", "since": START.isoformat()}
        world.node(name)
        world.health(name, "Critical", findings=[found | {"exhaustion": due}])
        world.treatment(f"t-{number}", name, "Waiting", waitingFor="Queued: others go first")

    ahead = [_situation(world, f"node-{number}").ahead for number in range(6)]

    assert ahead == [4, 5, 2, 3, 0, 1]


def _situation(world: World, name: str) -> Situation:
    standing = world.fleet.refresh(name)
    assert standing is not None
    now = START + timedelta(seconds=world.seconds)
    return gather.situation(world.fleet, standing, now, gather.Said())


def seen(world: World, name: str) -> Situation:
    standing = world.fleet.standing(name)
    assert standing is not None
    now = START + timedelta(seconds=world.seconds)
    return gather.situation(world.fleet, standing, now, gather.Said())


def test_a_zone_is_counted_by_itself_and_nodes_without_one_as_another(world: World) -> None:
    world.policy("all")
    for name, zone in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        world.node(name, ready=True, **{"topology.kubernetes.io/zone": zone})
    world.node("n1", ready=False)
    world.node("n2")

    world.node("a1", ready=False, **{"topology.kubernetes.io/zone": "a"})
    moved = seen(world, "a2").zone
    world.node("a1", ready=False, **{"topology.kubernetes.io/zone": "b"})

    assert moved == Tally(nodes=1, unavailable=1, unknown=1)
    assert seen(world, "a2").zone == Tally()
    assert seen(world, "b1").zone == Tally(nodes=1, unavailable=1, unknown=1)
    assert seen(world, "n2").zone == Tally(nodes=1, unavailable=1, unknown=1)


RULES = [{"name": "leaking", "match": {"reasons": [LEAK]}, "actions": [{"cordon": {}}]}]
STORM = {"stormThreshold": 3, "stormCooldownDuration": "10m"}


def test_nodes_that_fall_ill_together_are_an_outbreak_of_their_policy_alone(world: World) -> None:
    gpu = {"matchLabels": {"pool": "gpu"}}
    world.policy("all", rules=RULES, disruption=STORM)
    world.policy("gpu", rules=RULES, disruption=STORM, priority=1, nodeSelector=gpu)
    for number in range(4):
        world.node(f"worker-{number}")
        world.health(f"worker-{number}")
    world.node("gpu", pool="gpu")
    world.health("gpu", "Critical", LEAK)
    world.seconds = 60.0

    for number in range(3):
        world.health(f"worker-{number}", "Critical", LEAK)

    (found,) = seen(world, "worker-0").outbreaks
    assert (found.cause, found.ill) == (LEAK, 3)
    assert found.until == START + timedelta(minutes=11)
    assert seen(world, "gpu").outbreaks == ()
    assert seen(world, "worker-3").outbreaks == ()


def test_nodes_that_have_been_ill_for_long_are_none_after_a_restart(world: World) -> None:
    world.seconds = 86400.0

    world.policy("all", rules=RULES, disruption=STORM)
    for number in range(4):
        world.node(f"worker-{number}")
        world.health(f"worker-{number}", "Critical", LEAK)

    (found,) = seen(world, "worker-0").outbreaks
    assert found.until < START + timedelta(days=1)


def test_a_rule_that_is_added_later_makes_nobody_fall_ill_anew(world: World) -> None:
    world.policy("all", disruption=STORM)
    for number in range(4):
        world.node(f"worker-{number}")
        world.health(f"worker-{number}", "Critical", LEAK)
    world.seconds = 86400.0
    for number in range(4):
        world.health(f"worker-{number}", "Critical", LEAK)

    world.policy("all", rules=RULES, disruption=STORM)

    (found,) = seen(world, "worker-0").outbreaks
    assert found.until < START + timedelta(days=1)


def test_a_silent_node_is_as_ill_as_it_was(world: World) -> None:
    world.policy("all", rules=RULES, disruption=STORM)
    for number in range(3):
        world.node(f"worker-{number}")
        world.health(f"worker-{number}", "Critical", LEAK)

    world.seconds = 500.0

    (found,) = seen(world, "worker-0").outbreaks
    standing = world.fleet.refresh("worker-0")
    assert standing is not None
    assert standing.silent
    assert found.ill == 3


def test_a_deleted_node_is_ill_of_nothing(world: World) -> None:
    world.policy("all", rules=RULES, disruption=STORM)
    for number in range(4):
        world.node(f"worker-{number}")
        world.health(f"worker-{number}", "Critical", LEAK)
    gone = world.fleet.nodes.get("worker-3")
    assert gone is not None

    world.fleet.drop_node(gone)

    assert seen(world, "worker-0").outbreaks[0].ill == 3


@pytest.mark.parametrize(
    ("phase", "lost"), [("Running", "one"), ("Succeeded", None)], ids=["open", "ended"]
)
def test_only_who_deletes_an_open_treatment_means_no(
    world: World, phase: str, lost: str | None
) -> None:
    world.node("alpha")
    world.treatment("one", "alpha", phase)
    told = {"name": "one", "phase": "Running"}
    health = kinds.health_of({"metadata": {"name": "alpha"}, "status": {"remediation": told}})
    fleet = world.fleet
    (treatment,), node = fleet.treatments.values(), fleet.nodes.get("alpha")
    assert node is not None

    fleet.drop_treatment(treatment)

    assert upkeep.lost(node, health, fleet.treatments, fleet.ended) == lost


def test_a_treatment_that_is_called_as_one_that_had_ended_may_be_refused_as_well(
    world: World,
) -> None:
    world.node("alpha")
    told = {"name": "one", "phase": "Running"}
    health = kinds.health_of({"metadata": {"name": "alpha"}, "status": {"remediation": told}})
    fleet, node = world.fleet, world.fleet.nodes.get("alpha")
    assert node is not None

    for phase in ("Succeeded", "Running"):
        world.treatment("one", "alpha", phase)
        (treatment,) = fleet.treatments.values()
        fleet.drop_treatment(treatment)

    assert upkeep.lost(node, health, fleet.treatments, fleet.ended) == "one"
