"""Quantities as Kubernetes writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_operator.policy import quantities


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("0", 1000, 0),
        ("250m", 1000, 250),
        ("1.5", 1000, 1500),
        ("2", 1000, 2000),
        ("100u", 1000, 1),
        ("2Gi", 1, 2 * 1024**3),
        ("1e3", 1, 1000),
        ("1E", 1, 10**18),
        ("64M", 1, 64_000_000),
        ("128974848000m", 1, 128974848),
        ("much", 1, 0),
        ("", 1, 0),
        ("1Xi", 1, 0),
    ],
)
def test_an_amount_is_read(text: str, unit: int, expected: int) -> None:
    assert quantities.amount(text, unit) == expected


@given(st.text(max_size=12))
def test_no_text_breaks_it(text: str) -> None:
    assert isinstance(quantities.amount(text, 1000), int)


@given(st.integers(0, 10**15))
def test_what_is_written_reads_back(number: int) -> None:
    assert quantities.amount(quantities.of_cpu(number), 1000) == number
    assert quantities.amount(quantities.of_memory(number), 1) == number


def test_it_is_written_as_people_do() -> None:
    assert quantities.of_cpu(1750) == "1750m"
    assert quantities.of_cpu(3000) == "3"
    assert quantities.of_memory(192 * 1024**2) == "192Mi"
    assert quantities.of_memory(0) == "0"
