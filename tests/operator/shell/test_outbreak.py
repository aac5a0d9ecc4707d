"""How outbreaks are counted: in whatever order it is heard of, and however often it is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_api.v1alpha1.kernelhealthpolicy import Disruption
from kernelhealth_operator.spread import Spread, Terms

START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = timedelta(minutes=15)
TERMS = Terms(3, WINDOW)
MINUTES = st.lists(st.integers(0, 120), max_size=25)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def spread_of(*minutes: float) -> Spread:
    spread = Spread()
    for number, minute in enumerate(minutes):
        spread.fall(f"node-{number}", at(minute))
    return spread


def expected(minutes: list[int], most: int) -> datetime | None:
    """As the definition has it: each storm, and for how long somebody prolongs it."""
    ordered = sorted(at(each) for each in minutes)
    ends = []
    for first in range(len(ordered) - most + 1):
        end = ordered[first + most - 1]
        if end - ordered[first] <= WINDOW:
            later = [end, *ordered[first + most :]]
            gap = next((a for a, b in pairwise(later) if b - a >= WINDOW), later[-1])
            ends.append(gap + WINDOW)
    return max(ends, default=None)


def until(spread: Spread, now: float, terms: Terms = TERMS) -> datetime | None:
    found = spread.outbreak("cause", terms, at(now))
    return None if found is None else found.until


@given(MINUTES, st.randoms(use_true_random=False), st.integers(1, 6))
def test_it_does_not_matter_in_which_order_it_is_heard_who_fell_ill(
    minutes: list[int], random: Random, most: int
) -> None:
    terms, mixed = Terms(most, WINDOW), list(minutes)
    random.shuffle(mixed)
    known, live = spread_of(*mixed), Spread()

    for number, minute in enumerate(sorted(minutes)):
        live.fall(f"node-{number}", at(minute))
        live.outbreak("cause", terms, at(minute))

    assert known.outbreak("cause", terms, at(0)) == live.outbreak("cause", terms, at(0))
    assert until(known, 0, terms) == expected(minutes, most)


@given(MINUTES)
def test_other_terms_are_as_if_they_had_always_been_so(minutes: list[int]) -> None:
    spread = spread_of(*minutes)

    until(spread, 0, Terms(2, timedelta(hours=1)))

    assert until(spread, 0) == until(spread_of(*minutes), 0)


def test_as_many_as_the_threshold_within_the_window_are_a_storm() -> None:
    assert until(spread_of(0, 5), 5) is None
    assert until(spread_of(0, 5, 10), 10) == at(10) + WINDOW
    assert until(spread_of(0, 5, 21), 21) is None


def test_each_newcomer_prolongs_it_and_none_does_once_it_is_over() -> None:
    spread = spread_of(0, 0, 0)
    until(spread, 0)

    spread.fall("late", at(14))
    prolonged = until(spread, 14)
    spread.fall("later", at(29))

    assert prolonged == at(29)
    assert until(spread, 29) == at(29)


def test_a_single_node_that_comes_and_goes_is_no_storm() -> None:
    spread = Spread()

    for minute in range(10):
        spread.fall("flapping", at(minute))
        spread.recover("flapping", at(minute + 0.5))

    assert until(spread, 10) is None


def test_who_got_well_again_still_counts_for_a_while() -> None:
    spread = Spread()
    for number in range(3):
        spread.fall(f"node-{number}", at(number))
        spread.recover(f"node-{number}", at(number + 0.5))

    found = spread.outbreak("cause", TERMS, at(3))

    assert found is not None
    assert (found.until, found.ill) == (at(2) + WINDOW, 0)


def test_it_stays_frozen_although_all_get_well_and_is_over_when_it_has_cooled_down() -> None:
    spread = spread_of(0, 1, 2)
    until(spread, 2)
    for number in range(3):
        spread.recover(f"node-{number}", at(3))

    assert until(spread, 16) == at(17)
    assert until(spread, 17) is None
    assert until(spread, 60) is None


def test_after_a_restart_the_treatments_tell_when_nodes_fell_ill_whatever_their_clocks() -> None:
    spread = Spread()
    spread.remember("well", at(0))
    spread.remember("first", at(1))
    spread.fall("second", at(-9000))

    spread.fall("first", at(-9000))
    spread.remember("second", at(2))

    assert until(spread, 3) == at(2) + WINDOW


def test_what_was_healed_since_counts_once_and_what_was_before_does_not() -> None:
    spread = spread_of(0, 0, 0, 0)
    spread.heal("early", at(10))
    for name in ("one", "two", "one"):
        spread.heal(name, at(20))
    spread.forget("two")
    spread.forget("unknown")

    found = spread.outbreak("cause", TERMS, at(21))

    assert found is not None
    assert found.healed == 1


def test_a_threshold_of_zero_means_whatever_happens() -> None:
    assert until(spread_of(*[0] * 50), 1, Terms(0, WINDOW)) is None


@pytest.mark.parametrize("left", [2, 3])
def test_the_aftermath_ends_when_fewer_are_ill_than_make_a_storm(left: int) -> None:
    spread = spread_of(0, 0, 0, 0, 0)
    until(spread, 1)
    for number in range(5 - left):
        spread.recover(f"node-{number}", at(20))

    assert (until(spread, 20) is None) is (left < TERMS.threshold)


def test_nothing_is_kept_of_what_is_over() -> None:
    spread = spread_of(0, 1, 2)
    for number in range(3):
        spread.recover(f"node-{number}", at(3))

    until(spread, 60)

    assert spread.empty


@pytest.mark.parametrize(
    ("threshold", "nodes", "wanted"),
    [(5, 6, 5), (5, 1_000, 5), (5, 2_999, 5), (5, 15_000, 30), (50, 15_000, 50), (0, 15_000, 0)],
)
def test_among_thousands_of_nodes_it_takes_one_in_five_hundred(
    threshold: int, nodes: int, wanted: int
) -> None:
    assert Terms.of(Disruption(storm_threshold=threshold), nodes).threshold == wanted


def test_a_few_of_a_thousand_nodes_that_fall_ill_over_a_week_are_no_storm() -> None:
    terms = Terms.of(Disruption(), 1_000)
    spread = spread_of(*(hours * 60 for hours in range(0, 7 * 24, 4)))

    assert len(spread.ill) > terms.threshold
    assert until(spread, 7 * 24 * 60, terms) is None
