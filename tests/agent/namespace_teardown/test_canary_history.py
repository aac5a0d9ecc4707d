"""When canaries are sent, and what is made of how they get on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kernelhealth_agent.kernel import canary_history
from kernelhealth_agent.kernel.canary import Answer, Outstanding, Step
from kernelhealth_agent.kernel.canary_history import (
    CALM,
    FIRST_REST,
    LONGEST_REST,
    SOON,
    History,
    Result,
)
from kernelhealth_agent.kernel.task_files import Task

GOOD = ("form quota", "owner 8", "created 0.0005", "gone 0.04", "netfilter ok", "done")
TASK = Task(7, "khcanary", "S", 0.1, 1, 70)


def under_way(*lines: str, began: float = 100.0, age: float = 5.0) -> Answer:
    outstanding = Outstanding(7, ((7, 70),), began, lines, (3, 4), (5, 6))
    return Answer(began, age, lines, (TASK,), outstanding=outstanding)


def test_the_first_one_is_due_at_once() -> None:
    assert canary_history.due(History(), 10.0, suspicious=False)


def test_one_under_way_is_asked_after_in_every_look() -> None:
    history = canary_history.told(History(), under_way("form quota"), 105.0)

    assert canary_history.due(history, 105.1, suspicious=False)


@pytest.mark.parametrize(
    ("suspicious", "rest"), [(False, CALM), (True, SOON)], ids=["calm", "suspicious"]
)
def test_the_next_one_comes_soon_only_where_there_is_a_suspicion(
    *,
    suspicious: bool,
    rest: float,
) -> None:
    history = canary_history.told(History(), Answer(100.0, 0.1, GOOD), 100.1)

    assert not canary_history.due(history, 100.0 + rest - 1, suspicious=suspicious)
    assert canary_history.due(history, 100.2 + rest, suspicious=suspicious)


def test_after_each_that_had_to_be_killed_the_rest_is_twice_as_long() -> None:
    history, rests = History(), []
    for _ in range(8):
        history = canary_history.told(history, Answer(100.0, 300.0, GOOD[:3], (), killed=True), 0.0)
        rests.append(
            next(s for s in range(0, 9000, 10) if canary_history.due(history, s, suspicious=True))
        )

    assert rests[:3] == [FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST]
    assert rests[-1] == LONGEST_REST


def test_one_that_comes_back_ends_the_rest_and_the_stall() -> None:
    history = canary_history.told(History(), under_way(*GOOD[:3]), 105.0)
    assert history.stall is not None
    assert history.stall.step is Step.TEARDOWN

    history = canary_history.told(history, Answer(100.0, 40.0, GOOD), 140.0)

    assert (history.stall, history.outstanding, history.killed) == (None, None, 0)
    assert history.result == Result(140.0, "quota", 0.0005, 0.04, None, "")


def test_a_stall_lasts_from_the_first_canary_that_did_not_come_back() -> None:
    history = canary_history.told(History(), under_way(*GOOD[:2]), 105.0)
    history = canary_history.told(history, Answer(100.0, 310.0, GOOD[:2], (), killed=True), 410.0)
    history = canary_history.told(history, under_way(*GOOD[:2], began=600.0), 605.0)

    assert history.stall is not None
    assert (history.stall.since, history.stall.began) == (100.0, 600.0)
    assert history.stall.step is Step.CREATION


def test_one_that_has_only_begun_is_no_stall() -> None:
    history = canary_history.told(History(), under_way("form quota", age=0.2), 100.2)

    assert history.stall is None
    assert history.outstanding is not None


@pytest.mark.parametrize("state", ["T", "t"], ids=["stopped", "traced"])
def test_one_that_somebody_stopped_does_not_accuse_the_kernel(state: str) -> None:
    answer = under_way(*GOOD[:3])
    stopped = replace(answer, alive=(replace(TASK, state=state),))

    history = canary_history.told(History(), stopped, 105.0)
    killed = replace(answer, alive=(), outstanding=None, killed=True)
    later = canary_history.told(history, killed, 405.0)

    assert [h.stall and h.stall.step for h in (history, later)] == [Step.START, Step.START]


def test_one_that_somebody_else_ended_says_nothing() -> None:
    history = canary_history.told(History(), Answer(100.0, 9.0, GOOD[:3]), 109.0)

    assert (history.stall, history.result, history.killed) == (None, None, 0)
    assert "ended before it had an answer" in history.why


def test_a_second_one_says_nothing_of_the_first() -> None:
    history = canary_history.told(History(), under_way(*GOOD[:3]), 105.0)
    alone = replace(history, outstanding=None)

    history = canary_history.told(alone, Answer(110.0, 2.0, ("busy",)), 112.0)

    assert history.stall == alone.stall
    assert "another canary" in history.why


def test_where_none_can_run_it_is_said_why() -> None:
    lines = ("impossible no user namespace can be made, and the module veth is not loaded", "done")

    history = canary_history.told(History(), Answer(100.0, 0.1, lines), 100.1)

    assert history.why.startswith("no user namespace can be made")
    assert history.result is None


def test_devices_that_were_left_are_counted() -> None:
    history = canary_history.told(History(), Answer(1.0, 0.1, ("cleaned khc7", *GOOD)), 1.1)
    history = canary_history.told(history, Answer(2.0, 0.1, ("cleaned khc8", *GOOD)), 2.1)

    assert history.cleaned == 2


def test_failures_of_netfilter_count_in_a_row() -> None:
    bad = (*GOOD[:4], "netfilter failed a rule is listed after it was deleted", "done")
    history, counts = History(), []
    for lines in (bad, bad, GOOD, bad):
        history = canary_history.told(history, Answer(1.0, 0.1, lines), 1.1)
        counts.append(history.failures)

    assert counts == [1, 2, 0, 1]
    assert history.result is not None
    assert history.result.netfilter == "a rule is listed after it was deleted"
