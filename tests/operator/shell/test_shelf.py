from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_operator.cluster.errors import HistoryLost, expect_history
from kernelhealth_operator.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Thing:
    name: str
    resource_version: str


def test_an_older_event_never_overwrites_the_answer_to_a_write() -> None:
    shelf: Shelf[Thing] = Shelf()
    shelf.put(Thing("alpha", "10"))

    news = [shelf.put(Thing("alpha", version)) for version in ("9", "10", "11")]

    assert news == [False, False, True]
    assert shelf.get("alpha") == Thing("alpha", "11")


def test_versions_are_compared_as_numbers() -> None:
    shelf: Shelf[Thing] = Shelf()
    shelf.put(Thing("alpha", "9"))

    assert shelf.put(Thing("alpha", "10"))


def test_a_list_from_before_what_is_held_betrays_a_restored_cluster() -> None:
    shelf: Shelf[Thing] = Shelf()
    expect_history("LIST things", "7", shelf.newest())
    shelf.put(Thing("alpha", "9"))
    shelf.put(Thing("beta", "10"))

    expect_history("LIST things", "10", shelf.newest())
    with pytest.raises(HistoryLost, match="at resourceVersion 9, but 10 was seen"):
        expect_history("LIST things", "9", shelf.newest())


def test_a_late_answer_does_not_bring_a_deleted_object_back() -> None:
    shelf: Shelf[Thing] = Shelf()
    shelf.put(Thing("alpha", "5"))
    shelf.remove(Thing("alpha", "8"))

    assert not shelf.put(Thing("alpha", "7"))
    assert shelf.put(Thing("alpha", "9"))


def test_a_deletion_that_only_the_next_list_told_removes_what_a_write_had_renewed() -> None:
    shelf: Shelf[Thing] = Shelf()
    shelf.put(Thing("alpha", "9"))

    shelf.remove(Thing("alpha", "7"))

    assert "alpha" not in shelf
    assert not shelf.put(Thing("alpha", "9"))


def test_the_deletion_of_an_earlier_object_leaves_the_one_that_took_its_name() -> None:
    shelf: Shelf[Thing] = Shelf()
    shelf.put(Thing("alpha", "9"))

    shelf.remove(Thing("alpha", "7"), reborn=True)

    assert shelf.get("alpha") == Thing("alpha", "9")


def test_a_list_says_what_is_missing_but_not_of_what_is_younger_than_itself() -> None:
    shelf: Shelf[Thing] = Shelf()
    for name, version in (("alpha", "5"), ("beta", "6"), ("gamma", "12")):
        shelf.put(Thing(name, version))

    missing = shelf.missing(["alpha"], 10)

    assert missing == [Thing("beta", "6")]


@given(st.permutations(range(1, 9)))
def test_whatever_the_order_of_the_news_the_newest_stands(order: list[int]) -> None:
    shelf: Shelf[Thing] = Shelf()

    for number in order:
        shelf.put(Thing("alpha", str(number)))

    assert shelf.get("alpha") == Thing("alpha", "8")
