from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import processor_counters, recent_growth, sysctl
from kernelhealth_agent.kernel.recent_growth import Marks

PATH = "proc/1/net/stat/x"
TABLE = b"entries  drop\n0000000a 00000001\n0000000a 000000ff\n"


def test_entries_are_of_the_first_row_and_counters_of_all() -> None:
    found = processor_counters.counters(TABLE, PATH)

    assert found.entries == 10
    assert found.totals["drop"] == 256


def test_a_row_that_was_not_read_to_its_end_does_not_count() -> None:
    found = processor_counters.counters(TABLE[:-3], PATH)

    assert found.totals["drop"] == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"entries drop\n", b"drop\n1\n", b"entries drop\n1\n", b"entries\nxyz\n"],
    ids=["nothing", "no row", "no entries", "too few", "no number"],
)
def test_what_is_no_such_table_names_the_file(content: bytes) -> None:
    with pytest.raises(errors.UnreadableError, match=PATH):
        processor_counters.counters(content, PATH)


@given(st.binary() | st.from_regex(r"entries a b\n([0-9a-f ]{0,12}\n){0,4}").map(str.encode))
def test_any_table_gives_counters_or_says_what_is_wrong(content: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        found = processor_counters.counters(content, PATH)
        assert min(found.entries, *found.totals.values()) >= 0


@given(st.binary())
def test_any_setting_gives_a_number_or_says_what_is_wrong(content: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        assert sysctl.number(content, PATH) >= 0


def test_growth_is_told_for_five_minutes_at_least() -> None:
    marks = recent_growth.marked(None, (5,), 0.0)
    marks = recent_growth.marked(marks, (5,), 299.0)

    assert recent_growth.growth(marks, (9,)) == (4,)
    marks = recent_growth.marked(marks, (9,), 300.0)
    assert recent_growth.growth(marks, (9,)) == (4,)
    marks = recent_growth.marked(marks, (9,), 600.0)
    assert recent_growth.growth(marks, (9,)) == (0,)


def test_the_first_look_has_no_growth() -> None:
    assert recent_growth.growth(None, (7, 8)) == (0, 0)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 1 << 32)), max_size=20))
def test_growth_is_never_negative_whatever_counters_do(looks: list[tuple[float, int]]) -> None:
    marks: Marks | None = None
    for uptime, value in looks:
        assert recent_growth.growth(marks, (value,))[0] >= 0
        marks = recent_growth.marked(marks, (value,), uptime)
