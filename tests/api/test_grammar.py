from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import example, given
from hypothesis import strategies as st

from kernelhealth_api import duration
from kernelhealth_build import grammar

ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)
PARTS = st.sampled_from(
    ["*", "0", "1", "05", "7", "12", "24", "31", "59", "60", "L", "LW", "5L", "JAN", "sat", "MON#2"]
)
ITEMS = st.builds("".join, st.tuples(PARTS, st.sampled_from(["", "-", "/", "#"]), PARTS)) | PARTS
FIELDS = st.lists(ITEMS, min_size=1, max_size=2).map(",".join)
SCHEDULES = st.lists(FIELDS, min_size=5, max_size=5).map(" ".join)


@given(SCHEDULES)
@example("0 2 * * 6")
@example("005 * * * *")
@example("*/15,59 0-6/2 1,LW jan-MAR mon-fri")
@example("00 02 L 12 SAT#2")
def test_no_schedule_that_the_operator_understands_is_refused(text: str) -> None:
    if _understood(text):
        assert _accepted(text)


@given(SCHEDULES.filter(lambda text: not set("-/,#L") & set(text.upper())))
@example("0 2 * * 6")
@example("005 * * * *")
@example("60 2 * * 6")
def test_a_schedule_of_single_values_is_accepted_exactly_if_it_is_understood(text: str) -> None:
    assert _accepted(text) == _understood(text)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=365)))
def test_every_duration_that_we_write_is_accepted(value: timedelta) -> None:
    assert re.search(grammar.DURATION, duration.text(value))


@given(st.from_regex(grammar.DURATION, fullmatch=True).filter(lambda text: len(text) <= 32))
def test_every_duration_that_is_accepted_is_understood_and_overflows_nowhere(text: str) -> None:
    assert duration.parse(text.rstrip("\n")) < timedelta(days=292 * 365)


@pytest.mark.parametrize("text", ["a", "example.com/pool", "node-role.kubernetes.io/control-plane"])
def test_a_label_is_a_name_with_or_without_prefix(text: str) -> None:
    assert re.search(grammar.LABEL_KEY, text)


@pytest.mark.parametrize("text", ["", "a b", "/a", "a/", "a/b/c", "-a", "a" * 64, "Example.com/a"])
def test_what_is_no_label_is_refused(text: str) -> None:
    assert not re.search(grammar.LABEL_KEY, text)


def test_backslashes_are_doubled_between_quotes() -> None:
    assert grammar.matches(r"^\s$", "value") == r"value.matches('^\\s$')"


def _accepted(text: str) -> bool:
    patterns = [grammar.FIVE_FIELDS, *(pattern for _, pattern, _ in grammar.schedule_fields())]
    return all(re.search(pattern, text) for pattern in patterns)


def _understood(text: str) -> bool:
    try:
        CronSim(text, ANY_TIME)
    except CronSimError:
        return False
    return True
