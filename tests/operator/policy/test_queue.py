"""Who goes first, and who has to let others go first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kernelhealth_api.v1alpha1.finding import Severity
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Disruption
from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.lineup import Lineup
from kernelhealth_operator.policy import guards, queue
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.queue import Place
from kernelhealth_operator.policy.situation import Tally, Treatment

HOUR = timedelta(hours=1)


def place_of(build: Any, treatment: Treatment, *findings: Any) -> Place:
    place = queue.place(treatment, build.report(*findings))
    assert place is not None
    return place


def test_the_worse_goes_before_the_older(build: Any) -> None:
    old = build.treatment(name="old", created=build.now - HOUR)
    bad = build.treatment(name="bad", created=build.now)

    first = place_of(build, bad, build.finding(severity=Severity.CRITICAL))
    second = place_of(build, old, build.finding(severity=Severity.WARNING))

    assert first < second


def test_of_equally_bad_ones_the_sooner_to_run_out_goes_first(build: Any) -> None:
    old = build.treatment(name="old", created=build.now - HOUR)
    soon = build.treatment(name="soon", created=build.now)

    first = place_of(build, soon, build.finding(exhaustion=build.now + 9 * HOUR))
    second = place_of(build, old, build.finding(exhaustion=build.now + 11 * HOUR))

    assert first < second


def test_a_forecast_goes_before_none(build: Any) -> None:
    late = build.treatment(name="late", created=build.now - HOUR)
    seen = build.treatment(name="seen", created=build.now)

    first = place_of(build, seen, build.finding(exhaustion=build.now + 900 * HOUR))

    assert first < place_of(build, late, build.finding())


def test_of_equals_the_older_goes_first(build: Any) -> None:
    old = build.treatment(name="zeta", created=build.now - HOUR)
    new = build.treatment(name="alpha", created=build.now)

    assert place_of(build, old, build.finding()) < place_of(build, new, build.finding())


def test_a_forecast_that_wavers_changes_no_place(build: Any) -> None:
    treatment = build.treatment()
    due = build.now + 9 * HOUR

    before = place_of(build, treatment, build.finding(exhaustion=due))
    after = place_of(build, treatment, build.finding(exhaustion=due + HOUR / 2))

    assert before == after


def test_what_was_seen_in_the_beginning_counts_while_the_agent_reports_nothing(build: Any) -> None:
    treatment = build.treatment(evidence=(build.finding(severity=Severity.CRITICAL),))

    assert queue.place(treatment, None) == place_of(build, treatment, build.finding())


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.VERIFYING, Phase.SUCCEEDED])
def test_who_has_begun_or_ended_waits_for_no_turn(build: Any, phase: Phase) -> None:
    assert queue.place(build.treatment(phase), build.report()) is None


@pytest.mark.parametrize(
    ("waiting_for", "begins", "holds_up"),
    [
        ("MaxUnavailable: no room", None, True),
        ("Queued: others first", None, True),
        ("MinHealthy: too few", None, True),
        ("MaintenanceWindow: it opens later", timedelta(minutes=1), False),
        ("MaintenanceWindow: it opens now", timedelta(0), True),
        ("Approval: a person must approve", None, False),
        ("AgentSilent: it has gone quiet", None, False),
        (None, None, False),
    ],
)
def test_only_who_could_go_holds_others_up(
    build: Any,
    waiting_for: str | None,
    begins: timedelta | None,
    holds_up: bool,  # noqa: FBT001
) -> None:
    until = None if begins is None else build.now + begins
    treatment = build.treatment(waiting_for=waiting_for, waiting_until=until)

    assert place_of(build, treatment).holds_up(build.now) is holds_up


@pytest.mark.parametrize(
    ("ahead", "unavailable", "goes"), [(0, 1, True), (1, 1, False), (1, 0, True)]
)
def test_room_is_for_those_ahead_first(
    build: Any,
    ahead: int,
    unavailable: int,
    goes: bool,  # noqa: FBT001
) -> None:
    others = Tally(nodes=9, sound=9 - unavailable, unavailable=unavailable)
    policy = build.policy(disruption=Disruption(max_unavailable=2, min_healthy=1))
    waiting = build.treatment(waiting_for="MaxUnavailable: no room")
    situation = build.situation(treatment=waiting, policy=policy, others=others, ahead=ahead)

    decision = decide(situation, build.remediations)

    assert (decision.waiting_for is None) is goes
    assert goes or str(decision.waiting_for).startswith("Queued: others go first")


def test_who_has_begun_asks_nobody(build: Any) -> None:
    busy = build.treatment(Phase.RUNNING)
    others = Tally(nodes=9, sound=8, unavailable=1)

    verdict = queue.its_turn(build.situation(treatment=busy, others=others, ahead=5))

    assert verdict.ok


def test_a_turn_is_asked_for_last() -> None:
    assert guards.ACTING[-1] is queue.its_turn


def test_a_lineup_counts_those_ahead_that_could_go(build: Any) -> None:
    lineup = Lineup()
    places = [
        Place((0, build.now + HOUR * number, build.now, str(number)), for_room=number != 1)
        for number in range(4)
    ]
    for number in (2, 0, 3, 1):
        lineup.join("workers", f"node-{number}", places[number])

    assert list(lineup.first("workers", 2)) == ["node-0", "node-2"]
    assert [lineup.ahead("workers", place, build.now, 9) for place in places] == [0, 1, 1, 2]
    assert lineup.ahead("workers", places[3], build.now, 1) == 1
    assert lineup.ahead("others", places[3], build.now, 9) == 0


def test_who_left_a_lineup_holds_nobody_up(build: Any) -> None:
    lineup = Lineup()
    first, second = (Place((0, build.now, build.now, name), for_room=True) for name in "ab")
    lineup.join("workers", "node-a", first)
    lineup.join("workers", "node-b", second)

    lineup.leave("workers", "node-a", first)

    assert lineup.ahead("workers", second, build.now, 9) == 0
