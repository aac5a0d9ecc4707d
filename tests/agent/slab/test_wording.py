from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kernelhealth_agent.kernel import slab_wording
from kernelhealth_agent.kernel.growth import Forecast, Growth
from kernelhealth_agent.kernel.trend import Trend

ONSET = datetime(2026, 11, 21, 18, 47, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(20, "1 min"), (95, "2 min"), (3540, "59 min"), (3580, "1 h"), (43_200, "12 h")],
)
def test_a_rate_says_over_what_time_it_was_measured(seconds: float, words: str) -> None:
    trend = Trend(slope=1 << 10, lower=1, upper=2 << 10, samples=6, span=seconds)
    grown = Growth(trend, grown=1 << 20, base=0, onset=ONSET)

    sentence = slab_wording.uncached(grown, 64 << 20, Forecast(None, None, None))

    assert f"3.5 MiB an hour over the last {words};" in sentence
