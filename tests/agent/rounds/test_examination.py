from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from kernelhealth_agent import state
from kernelhealth_agent.examination import Knowledge, Outcome
from kernelhealth_api.v1alpha1.resource import Condition


class Node(Protocol):
    root: Path
    deadline: float
    knowledge: Knowledge
    wanted: dict[str, object]
    examiner: Any
    has: Callable[..., None]
    look: Callable[..., Outcome]
    restart: Callable[[], None]


def condition(outcome: Outcome, kind: str) -> Condition:
    return next(c for c in outcome.status.conditions if c.type == kind)


def test_a_node_where_nothing_is_wrong_is_healthy(node: Node) -> None:
    outcome = node.look()

    assert outcome.status.health == "Healthy"
    assert [c.status for c in outcome.status.conditions] == ["True", "True"]
    assert outcome.status.findings == ()


def test_what_was_just_seen_for_the_first_time_is_only_suspected(node: Node) -> None:
    node.has(leaks="a b")

    outcome = node.look()

    assert outcome.status.findings == ()
    assert outcome.status.suspected == 2
    assert condition(outcome, "LeaksHealthy").reason == "Suspected"
    assert condition(outcome, "LeaksHealthy").status == "True"


def test_what_lasts_is_confirmed_exactly_when_it_is_due(node: Node) -> None:
    node.has(leaks="a")
    first = node.look()

    assert first.due is not None
    before = node.look(first.due - 1000.0 - 1)
    after = node.look(1)

    assert before.status.findings == ()
    assert [f.reason for f in after.status.findings] == ["ThingLeaked"]
    assert after.status.problems == "ThingLeaked"
    assert after.due is None


def test_a_reason_that_needs_no_confirmation_is_a_finding_at_once(node: Node) -> None:
    node.has(traps="x")

    outcome = node.look()

    assert outcome.status.findings[0].subject.file == "/etc/x:3"
    assert outcome.status.health == "Warning"


def test_what_is_gone_for_one_look_starts_over(node: Node) -> None:
    node.has(leaks="a")
    node.look()
    node.has()
    node.look(100)
    node.has(leaks="a")

    again = node.look(100)

    assert again.status.findings == ()
    assert again.status.suspected == 1


def test_conditions_keep_their_time_while_their_status_stays(node: Node) -> None:
    first = node.look()
    node.has(leaks="a")
    suspected = node.look(60)
    confirmed = node.look(130)

    began = condition(first, "LeaksHealthy").last_transition_time
    assert condition(suspected, "LeaksHealthy").last_transition_time == began
    assert condition(confirmed, "LeaksHealthy").last_transition_time > began


def test_a_restarted_agent_goes_on_where_it_was(node: Node, tmp_path: Path) -> None:
    node.has(leaks="a")
    node.look()
    state.save(tmp_path, state.State(boot_id="boot-1", knowledge=node.knowledge))
    node.restart()
    node.knowledge = state.load(tmp_path, "boot-1").knowledge

    outcome = node.look(121)

    assert [f.count for f in outcome.status.findings] == [1]
    assert outcome.knowledge.namespaces[17].pod.title == "shop/cart"


def test_after_another_boot_nothing_is_remembered(node: Node, tmp_path: Path) -> None:
    node.has(leaks="a")
    node.look()
    state.save(tmp_path, state.State(boot_id="boot-1", knowledge=node.knowledge))

    found = state.load(tmp_path, "boot-2")

    assert found == state.State(boot_id="boot-2", knowledge=Knowledge())


def test_thresholds_of_the_spec_are_in_force(node: Node) -> None:
    node.wanted = {"leaks": {"confirmAfter": "10s", "criticalCount": 2}}
    node.has(leaks="a b")
    node.look()

    outcome = node.look(10)

    assert outcome.status.findings[0].severity == "Critical"
    assert (outcome.status.findings[0].value, outcome.status.findings[0].threshold) == (2.0, 2.0)


@pytest.mark.parametrize("wrong", [{"confirmAfter": "soon"}, "nonsense", ["a"], 3])
def test_wrong_thresholds_leave_the_defaults_and_are_complained_of(
    node: Node, wrong: object
) -> None:
    node.wanted = {"leaks": wrong}
    node.has(leaks="a")
    node.look()

    outcome = node.look(121)

    assert outcome.status.findings[0].threshold == 10.0
    assert "spec.detectors.leaks" in condition(outcome, "LeaksHealthy").message
    assert "defaults are in force" in condition(outcome, "LeaksHealthy").message
