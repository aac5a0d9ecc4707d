from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent.kernel import trend

HOURS = [float(index * 600) for index in range(36)]
slopes = st.floats(-1e4, 1e4)
levels = st.floats(-1e9, 1e9)
noises = st.lists(st.floats(-50, 50), min_size=36, max_size=36)


@given(slope=slopes, level=levels)
def test_a_line_has_its_slope_whatever_its_level(slope: float, level: float) -> None:
    found = trend.theil_sen(HOURS, [level + slope * time for time in HOURS])

    assert found is not None
    tolerance = 1e-6 * (abs(slope) + abs(level) / 600 + 1)
    assert math.isclose(found.slope, slope, abs_tol=tolerance)
    assert found.upper - found.lower <= 2 * tolerance


@given(slope=st.floats(0.5, 100), noise=noises)
def test_the_slope_lies_within_its_band_and_noise_does_not_turn_it(
    slope: float, noise: list[float]
) -> None:
    values = [slope * time + n for time, n in zip(HOURS, noise, strict=True)]

    found = trend.theil_sen(HOURS, values)

    assert found is not None
    assert found.lower <= found.slope <= found.upper
    assert found.slope == pytest.approx(slope, abs=100 / 600)


@given(noise=noises, shift=levels)
def test_a_shift_in_level_or_time_changes_nothing(noise: list[float], shift: float) -> None:
    rounded = [round(value) for value in noise]

    here = trend.theil_sen(HOURS, rounded)
    there = trend.theil_sen(
        [time + 1e6 for time in HOURS], [value + round(shift) for value in rounded]
    )

    assert here is not None
    assert there is not None
    assert (there.slope, there.lower, there.upper) == pytest.approx(
        (here.slope, here.lower, here.upper)
    )


@given(noise=noises)
def test_upside_down_is_the_same_downwards(noise: list[float]) -> None:
    up = trend.theil_sen(HOURS, noise)
    down = trend.theil_sen(HOURS, [-value for value in noise])

    assert up is not None
    assert down is not None
    assert down.slope == pytest.approx(-up.slope)
    assert down.lower == pytest.approx(-up.upper)


@given(wild=st.lists(st.floats(0, 1e12), min_size=7, max_size=7))
def test_wild_points_do_not_turn_a_trend(wild: list[float]) -> None:
    values = [2.0 * time for time in HOURS]
    values[3:36:5] = wild

    found = trend.theil_sen(HOURS, values)

    assert found is not None
    assert found.slope > 0


@given(at=st.integers(0, 35), height=st.floats(1, 1e9))
def test_one_step_is_no_rise(at: int, height: float) -> None:
    values = [0.0] * at + [height] * (36 - at)

    found = trend.theil_sen(HOURS, values)

    assert found is not None
    assert not found.rises


def test_what_does_not_move_has_a_band_of_nothing() -> None:
    found = trend.theil_sen(HOURS, [7.0] * 36)

    assert found is not None
    assert (found.slope, found.lower, found.upper) == (0, 0, 0)
    assert (found.samples, found.span) == (36, 21000)


def test_more_confidence_is_a_wider_band() -> None:
    values = [time + 4000 * math.sin(time) for time in HOURS]

    narrow, wide = (trend.theil_sen(HOURS, values, c) for c in (0.8, 0.99))

    assert narrow is not None
    assert wide is not None
    assert wide.lower < narrow.lower < narrow.upper < wide.upper


@pytest.mark.parametrize("times", [[], [1.0], [1.0, 2.0], [5.0] * 9])
def test_too_few_points_in_time_have_no_trend(times: list[float]) -> None:
    assert trend.theil_sen(times, times) is None


def test_the_band_is_that_of_a_table() -> None:
    # Sen's own interval for n = 10 and 95 %: the ranks 12 and 35 of 45 slopes (Hollander & Wolfe).
    times = [float(index) for index in range(10)]
    values = [0.0, 3.0, 1.0, 6.0, 2.0, 9.0, 4.0, 12.0, 5.0, 15.0]
    slopes = sorted(
        (values[j] - values[i]) / (times[j] - times[i]) for i in range(10) for j in range(i + 1, 10)
    )

    found = trend.theil_sen(times, values)

    assert found is not None
    assert found.slope == slopes[22]
    assert slopes[9] <= found.lower <= slopes[12]
    assert slopes[32] <= found.upper <= slopes[35]


@pytest.mark.parametrize(
    ("values", "fall"),
    [([], 0.0), ([0, 0], 0.0), ([10, 12, 9, 30], 0.25), ([10, 11, 12], 0.0), ([8, 0], 1.0)],
)
def test_the_largest_fall_is_from_the_highest_before(values: list[float], fall: float) -> None:
    assert trend.largest_fall(values) == fall


@pytest.mark.parametrize(
    ("values", "share"),
    [([0, 1, 2, 3, 4], 0.5), ([0, 4, 4, 4, 4], 0.0), ([0, 0, 0, 0, 4], 1.0), ([4, 3, 2, 1, 0], 0)],
)
def test_growth_that_came_lately_is_told_from_old_growth(values: list[float], share: float) -> None:
    assert trend.share_since([0, 1, 2, 3, 4], values, 0.5) == share
