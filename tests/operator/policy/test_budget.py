"""How many nodes may be out of service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_api.v1alpha1.kernelhealthpolicy import Disruption
from kernelhealth_operator.policy import budget
from kernelhealth_operator.policy.situation import Tally

AMOUNTS = st.one_of(
    st.integers(0, 200),
    st.integers(0, 200).map(str),
    st.integers(0, 100).map("{}%".format),
)
NODES = st.integers(1, 200)


@pytest.mark.parametrize(
    ("value", "nodes", "most"),
    [
        (3, 10, 3),
        ("3", 10, 3),
        (0, 10, 0),
        ("0%", 10, 0),
        ("10%", 10, 1),
        ("10%", 19, 1),
        ("10%", 20, 2),
        ("10%", 1, 1),
        ("100%", 7, 7),
    ],
)
def test_most_unavailable_is_rounded_down_but_not_below_one(
    value: str | int, nodes: int, most: int
) -> None:
    assert budget.most_unavailable(value, nodes) == most


@pytest.mark.parametrize(
    ("value", "nodes", "fewest"),
    [(3, 10, 3), ("51%", 10, 6), ("51%", 1, 1), ("50%", 10, 5), ("0%", 10, 0), ("100%", 3, 3)],
)
def test_fewest_sound_is_rounded_up(value: str | int, nodes: int, fewest: int) -> None:
    assert budget.fewest_sound(value, nodes) == fewest


@pytest.mark.parametrize("value", ["", "%", "-1", -1, "101%", "ten", "1.5", "10 %", "٣"])
def test_what_is_no_share_is_refused_in_words(value: str | int) -> None:
    with pytest.raises(budget.NotAShareError, match="neither a number of nodes nor a share"):
        budget.most_unavailable(value, 10)


def test_what_is_allowed_is_the_room_that_is_left() -> None:
    disruption = Disruption(max_unavailable=3, min_healthy="50%")

    allowed = [
        budget.remediations_allowed(disruption, Tally(nodes=10, unavailable=out, sound=sound))
        for out, sound in ((0, 10), (2, 8), (3, 7), (5, 5), (1, 4))
    ]

    assert allowed == [3, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("limit", "nodes", "unavailable", "room"),
    [
        (None, 3, 2, True),
        (1, 3, 0, True),
        (1, 3, 1, False),
        ("50%", 3, 1, True),
        ("10%", 3, 1, False),
    ],
)
def test_a_zone_has_room_for_as_many_as_its_own_limit_says(
    limit: str | int | None, nodes: int, unavailable: int, *, room: bool
) -> None:
    disruption = Disruption(max_unavailable_per_zone=limit)

    assert budget.room_in_zone(disruption, Tally(nodes=nodes, unavailable=unavailable)) is room


@given(AMOUNTS, AMOUNTS, NODES, st.data())
def test_taking_nodes_one_by_one_never_oversteps_whatever_the_order(
    most: str | int, fewest: str | int, nodes: int, data: st.DataObject
) -> None:
    disruption = Disruption(max_unavailable=most, min_healthy=fewest)
    sick = data.draw(st.lists(st.booleans(), min_size=nodes, max_size=nodes))
    order = data.draw(st.permutations(range(nodes)))
    out: set[int] = set()

    for node in order:
        others = [each for each in range(nodes) if each != node]
        tally = Tally(
            nodes=nodes - 1,
            unavailable=sum(each in out for each in others),
            sound=sum(not sick[each] and each not in out for each in others),
        )
        if budget.room(disruption, tally) and budget.sound_enough(disruption, tally):
            out.add(node)

    sound = sum(not sick[each] and each not in out for each in range(nodes))
    assert len(out) <= budget.most_unavailable(most, nodes)
    assert not out or sound >= budget.fewest_sound(fewest, nodes)
