"""Trends in a row of measurements, robust against what is no trend.

The slope is that of Theil and Sen: the median of the slopes between all pairs of points, which a
quarter of wild points does not move (P. K. Sen, Estimates of the regression coefficient based on
Kendall's tau, 1968). Its band of confidence is Sen's too, by ranks, without assuming how errors are
distributed; the variance of Kendall's statistic is corrected for ties. Measurements that follow
each other depend on each other: the band is rather too narrow, so ask for a long enough span too.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Trend:
    """A slope per second, the ends of its band of confidence, and what it was made of."""

    slope: float
    lower: float
    upper: float
    samples: int
    span: float

    @property
    def rises(self) -> bool:
        """Whether even the low end of the band rises."""
        return self.lower > 0


def theil_sen(
    times: Sequence[float], values: Sequence[float], confidence: float = 0.95
) -> Trend | None:
    """Return the trend of *values* at *times* (s); None for fewer than three points in time.

    The cost is that of sorting n(n-1)/2 slopes: 1128 for 48 points. Points at the same time make
    no slope; *confidence* is between 0 and 1.
    """
    if len(set(times)) < _FEWEST:
        return None
    points = list(zip(times, values, strict=True))
    slopes = sorted(
        (later - value) / (then - time)
        for index, (time, value) in enumerate(points)
        for then, later in points[index + 1 :]
        if then != time
    )
    half = _half_width(values, confidence)
    low = max(0, math.floor(len(slopes) / 2 - half))
    low = min(low, (len(slopes) - 1) // 2)
    return Trend(
        slope=statistics.median(slopes),
        lower=slopes[low],
        upper=slopes[-1 - low],
        samples=len(points),
        span=max(times) - min(times),
    )


def _half_width(values: Sequence[float], confidence: float) -> float:
    """Return half the width of the band, in ranks of slopes."""
    count = len(values)
    ties = sum(t * (t - 1) * (2 * t + 5) for t in Counter(values).values() if t > 1)
    variance = (count * (count - 1) * (2 * count + 5) - ties) / 18
    quantile = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    return quantile * math.sqrt(max(0.0, variance)) / 2


def largest_fall(values: Sequence[float]) -> float:
    """Return by which part of the highest value before it any value is lower, 0 to 1."""
    highest, fall = 0.0, 0.0
    for value in values:
        highest = max(highest, value)
        if highest > 0:
            fall = max(fall, (highest - value) / highest)
    return fall


def share_since(times: Sequence[float], values: Sequence[float], part: float) -> float:
    """Return which share of the growth of all points came in the last *part* of their time."""
    growth = values[-1] - values[0]
    if growth <= 0:
        return 0.0
    begin = times[-1] - part * (times[-1] - times[0])
    return (values[-1] - values[min(bisect_left(times, begin), len(values) - 1)]) / growth
