"""Many nodes at once: that cause waits, all others go on, and afterwards it starts with one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.policy import guards, storm
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.decision import ChangeNode
from kernelhealth_operator.policy.situation import Outbreak, Situation

LEAK = "NetworkNamespaceLeaked"
MINUTE = timedelta(minutes=1)


def outbreak(build: Any, **changes: Any) -> Outbreak:
    values = {"cause": LEAK, "until": build.now + 5 * MINUTE, "ill": 9}
    return Outbreak(**(values | changes))


def waiting(build: Any, *outbreaks: Outbreak, **changes: Any) -> Situation:
    treatment = build.treatment(Phase.WAITING)
    found: Situation = build.situation(treatment=treatment, outbreaks=outbreaks, **changes)
    return found


def test_a_cause_that_has_just_broken_out_is_left_alone_until_it_cools_down(build: Any) -> None:
    decision = decide(waiting(build, outbreak(build)), build.remediations)

    assert decision.verdicts[-1].reason == "Storm"
    assert decision.due == build.now + 5 * MINUTE
    assert not any(isinstance(step, ChangeNode) for step in decision.steps)
    assert decision.waiting_for is not None
    assert decision.waiting_for.startswith(f"Storm: 9 nodes are ill of {LEAK}")


def test_a_treatment_that_is_under_way_is_frozen_too(build: Any) -> None:
    begun = build.treatment(Phase.RUNNING)

    verdict = storm.not_frozen(build.situation(treatment=begun, outbreaks=(outbreak(build),)))

    assert verdict.reason == "Storm"


def test_what_has_another_cause_goes_on(build: Any) -> None:
    decision = decide(waiting(build, outbreak(build, cause="GssProxyPin")), build.remediations)

    assert any(isinstance(step, ChangeNode) for step in decision.steps)


def test_the_cause_counts_where_one_is_known_and_the_reason_else(build: Any) -> None:
    pinned = build.finding(cause="GssProxyPin")

    assert storm.cause_of(pinned) == "GssProxyPin"
    assert storm.cause_of(build.finding()) == LEAK


@pytest.mark.parametrize(
    ("healed", "treated", "goes"),
    [(0, 0, True), (0, 1, False), (1, 1, True), (1, 2, False), (3, 3, True), (3, 4, False)],
)
def test_afterwards_one_is_treated_then_two_then_four(
    build: Any, *, healed: int, treated: int, goes: bool
) -> None:
    over = outbreak(build, until=build.now, healed=healed, treated=treated)

    verdicts = guards.ask(waiting(build, over), guards.ACTING)

    assert (guards.objection(verdicts) is None) is goes
    if not goes:
        assert verdicts[-1].reason == "StormAftermath"


def test_who_has_begun_before_the_storm_goes_on_when_it_is_over(build: Any) -> None:
    over = outbreak(build, until=build.now, treated=7)
    begun = build.situation(treatment=build.treatment(Phase.RUNNING), outbreaks=(over,))

    assert storm.paced(begun).ok


def test_each_batch_that_heals_lets_twice_as_many_follow(build: Any) -> None:
    batches, healed = [], 0

    for _ in range(4):
        batches.append(storm.at_once(outbreak(build, healed=healed)))
        healed += batches[-1]

    assert batches == [1, 2, 4, 8]


def test_what_a_node_had_when_it_was_first_seen_is_dated_by_the_node(build: Any) -> None:
    since = build.now - timedelta(hours=3)
    report = build.report(build.finding(since=since))

    assert storm.newly(None, report, build.now) == {LEAK: since}


def test_what_a_watched_node_falls_ill_of_is_dated_by_the_operator(build: Any) -> None:
    since = build.now - timedelta(hours=3)
    report = build.report(build.finding(since=since))

    assert storm.newly(build.report(), report, build.now) == {LEAK: build.now}


def test_a_clock_that_is_ahead_dates_nothing_into_the_future(build: Any) -> None:
    report = build.report(build.finding(since=build.now + timedelta(days=1)))

    assert storm.newly(None, report, build.now) == {LEAK: build.now}


def test_the_age_of_nodes_is_no_storm(build: Any) -> None:
    aged = build.report(build.finding(reason="Uptime"))
    treatment = build.treatment(reasons=("Uptime",))

    assert storm.newly(build.report(), aged, build.now) == {}
    assert storm.treated_for(treatment) == frozenset()


def test_a_treatment_is_for_the_causes_it_was_opened_for(build: Any) -> None:
    pinned = build.finding(cause="GssProxyPin", since=build.now - MINUTE)
    opened = build.treatment(evidence=(pinned,))
    bare = replace(opened, status=opened.status.model_copy(update={"evidence": ()}))

    assert storm.treated_for(opened) == {"GssProxyPin"}
    assert storm.treated_for(bare) == {LEAK}
