from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent.outbox import Outbox, size
from kernelhealth_agent.pacing import Pace, Purse, affordable
from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_api.v1alpha1.nodekernelhealth import Health, NodeKernelHealthStatus

WALL = datetime(2026, 1, 1, tzinfo=UTC)
QUIET = Pace(period=60.0, started=100.0, ended=100.2, purse=Purse(at=100.2))


def status(**parts: Any) -> NodeKernelHealthStatus:
    return NodeKernelHealthStatus(health=Health.HEALTHY, boot_id="b").model_copy(update=parts)


def leaks(count: int) -> dict[str, Any]:
    found = Finding(
        reason="Leaked", severity=Severity.WARNING, message=f"{count}", count=count, since=WALL
    )
    return {"health": Health.WARNING, "findings": (found,)}


def outbox(chance: float = 0.5) -> Outbox:
    return Outbox(refresh=600.0, spread=5.0, chance=lambda: chance)


def test_without_news_the_period_decides() -> None:
    assert (QUIET.next, QUIET.trigger) == (160.0, "period")


def test_after_news_a_round_follows_a_moment_of_quiet() -> None:
    pace = QUIET.told(110.0).told(110.3)

    assert (pace.next, pace.trigger) == (110.8, "event")


def test_news_that_do_not_end_are_not_waited_out() -> None:
    pace = QUIET
    for tenth in range(40):
        pace = pace.told(110.0 + tenth / 10)

    assert pace.next == 112.0


def test_news_wait_while_the_purse_is_empty() -> None:
    pace = replace(QUIET, purse=Purse(at=100.2, left=-0.08)).told(100.3)

    assert pace.next == pytest.approx(110.2)


def test_the_period_does_not_wait_for_the_purse() -> None:
    pace = replace(QUIET, purse=Purse(at=100.2, left=-9.0), due=110.0).told(100.3)

    assert (pace.next, pace.trigger) == (160.0, "period")


def test_a_suspicion_goes_before_news_when_the_purse_opens() -> None:
    pace = replace(QUIET, purse=Purse(at=100.2, left=-0.08), due=101.0).told(100.3)

    assert pace.trigger == "confirmation"


def test_without_news_everything_that_is_told_may_make_a_difference() -> None:
    assert QUIET.settled == QUIET.ended


def test_further_news_make_no_difference_until_the_purse_opens() -> None:
    pace = replace(QUIET, purse=Purse(at=100.2, left=-0.08)).told(100.3)

    assert pace.settled > 109.0
    assert pace.told(pace.settled).next == pace.next


def test_what_was_used_comes_back_at_the_agents_share_and_no_more_than_a_second() -> None:
    spent = Purse(at=0.0).spent(1.5, 0.0)

    assert spent.open == pytest.approx(62.5)
    assert spent.spent(0.0, 9999.0).left == pytest.approx(1.0)


def test_a_purse_is_ample_until_half_is_used() -> None:
    assert Purse(at=0.0).spent(0.4, 0.0).is_ample(0.0)
    assert not Purse(at=0.0).spent(0.6, 0.0).is_ample(0.0)
    assert Purse(at=0.0).spent(0.6, 0.0).is_ample(60.0)


@given(st.lists(st.floats(0.01, 0.6), min_size=2, max_size=200))
def test_news_without_end_never_cost_a_hundredth_of_a_processor_over_ten_minutes(
    costs: list[float],
) -> None:
    purse, now = Purse(at=0.0), 0.0
    used: list[tuple[float, float]] = []
    while now < 1200.0:
        cost = costs[len(used) % len(costs)]
        now += cost
        purse = purse.spent(cost, now)
        used.append((now, cost))
        now = max(now + 1.0, purse.open)

    for end, _ in used:
        window = sum(cost for at, cost in used if end - 600.0 < at <= end)
        assert window <= 6.0 + max(costs)


def test_a_round_is_made_exactly_when_a_suspicion_is_due() -> None:
    pace = replace(QUIET, due=117.5)

    assert (pace.next, pace.trigger) == (117.5, "confirmation")


def test_a_suspicion_that_was_due_long_ago_makes_no_endless_loop() -> None:
    assert replace(QUIET, due=3.0).next == pytest.approx(101.2)


@given(
    st.floats(-30, 1), st.none() | st.floats(0, 500), st.lists(st.floats(100.2, 400), max_size=9)
)
def test_rounds_are_a_second_apart_and_never_later_than_the_period(
    left: float, due: float | None, events: list[float]
) -> None:
    pace = replace(QUIET, purse=Purse(at=100.2, left=left), due=due)
    for event in sorted(events):
        pace = pace.told(event)

    assert 101.2 <= pace.next <= 160.0


@pytest.mark.parametrize(
    ("cpu", "period"), [(0.01, 60.0), (0.4, 100.0), (30.0, 240.0)], ids=["small", "large", "huge"]
)
def test_rounds_that_cost_much_are_made_less_often(cpu: float, period: float) -> None:
    assert affordable(60.0, cpu) == period


def test_a_first_report_of_a_healthy_node_is_spread() -> None:
    box = outbox()
    box.offer(status(), 10.0)

    assert box.due(10.0) == 12.5


def test_a_first_report_of_a_sick_node_goes_at_once() -> None:
    box = outbox()
    box.offer(status(**leaks(1)), 10.0)

    assert box.due(10.0) == 10.0


def test_nothing_is_sent_again_before_its_time_while_nothing_changes() -> None:
    box = outbox(chance=1.0)
    first = status(last_report_time=WALL)
    box.offer(first, 0.0)
    box.sent(first, 5.0)
    box.offer(status(last_report_time=WALL.replace(hour=1)), 60.0)

    assert box.due(60.0) == 605.0


def test_a_change_is_sent_at_once() -> None:
    box = outbox()
    box.offer(status(), 0.0)
    box.sent(status(), 5.0)
    box.offer(status(**leaks(1)), 60.0)

    assert box.due(60.0) == 60.0


def test_a_number_that_stays_in_its_class_is_no_change() -> None:
    box = outbox(chance=1.0)
    box.offer(status(**leaks(11)), 0.0)
    box.sent(status(**leaks(11)), 0.0)
    box.offer(status(**leaks(14)), 60.0)
    within = box.due(60.0)
    box.offer(status(**leaks(21)), 120.0)

    assert (within, box.due(120.0)) == (600.0, 120.0)


def test_changes_without_end_are_rationed() -> None:
    box, now = outbox(), 0.0
    times = []
    for number in range(40):
        box.offer(status(boot_id=f"b{number}", health=Health.WARNING), now)
        due = box.due(now)
        assert due is not None
        now = max(now, due)
        box.sent(status(boot_id=f"b{number}", health=Health.WARNING), now)
        times.append(now)

    assert times[:10] == [0.0] * 10
    assert times[-1] == pytest.approx(150.0)


def test_what_had_to_be_sent_in_any_case_delays_no_change() -> None:
    box = outbox()
    for number in range(40):
        box.offer(status(boot_id=f"b{number}"), 0.0)
        box.sent(status(boot_id=f"b{number}"), 0.0)

    box.offer(status(boot_id="another"), 0.0)

    assert box.due(0.0) == 5.0


def test_suspicions_that_come_and_go_cost_few_writes() -> None:
    box, now, writes = outbox(chance=1.0), 0.0, 0
    box.offer(status(), now)
    box.sent(status(), now)
    for number in range(600):
        now += 6.0
        box.offer(status(suspected=number % 2), now)
        due = box.due(now)
        if due is not None and due <= now:
            box.sent(status(suspected=number % 2), now)
            writes += 1

    assert writes <= 4 + 12


def test_after_failures_the_pauses_grow_and_the_newest_report_is_sent() -> None:
    box = outbox(chance=1.0)
    box.offer(status(), 0.0)
    pauses = []
    for _ in range(9):
        box.failed(0.0)
        pauses.append(box.due(0.0))
    box.offer(status(**leaks(3)), 1.0)

    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert box.due(1.0) == 60.0
    assert box.report == status(**leaks(3))


def test_the_time_that_the_server_asks_for_is_respected() -> None:
    box = outbox(chance=0.0)
    box.offer(status(**leaks(1)), 0.0)

    box.failed(0.0, retry_after=30.0)

    assert box.due(0.0) == pytest.approx(30.2)


def test_what_somebody_else_overwrote_is_sent_again_at_once() -> None:
    box = outbox()
    box.offer(status(), 0.0)
    box.sent(status(), 0.0)

    box.disowned(9.0)

    assert box.due(9.0) == 9.0


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_classes_of_numbers_keep_their_order(one: int, other: int) -> None:
    assert size(0) < size(1) < size(2)
    assert (one <= other) <= (size(one) <= size(other))


def test_with_a_larger_share_of_a_processor_dear_rounds_follow_sooner() -> None:
    spent = Purse(at=0.0, share=0.5).spent(3.0, 0.0)

    pace = replace(QUIET, purse=spent, ended=0.0, started=100.0).told(0.0)

    assert spent.open == 4.0
    assert pace.next == 4.0
    assert affordable(15.0, 3.0, 0.5) == 15.0
    assert affordable(15.0, 3.0, 0.1) == 60.0
