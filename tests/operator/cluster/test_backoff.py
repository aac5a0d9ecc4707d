"""Backoff with full jitter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_operator.cluster.backoff import Backoff


def test_the_bound_doubles_up_to_the_most() -> None:
    backoff = Backoff(first=0.5, most=3.0)

    bounds = [backoff.delay(failures, lambda: 1.0) for failures in (1, 2, 3, 4, 5)]

    assert bounds == [0.5, 1.0, 2.0, 3.0, 3.0]


@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_no_delay_leaves_its_bounds(failures: int, luck: float) -> None:
    delay = Backoff(first=0.5, most=30.0).delay(failures, lambda: luck)

    assert 0 <= delay <= 30.0
