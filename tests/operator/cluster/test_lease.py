"""The times of a lease."""

from __future__ import annotations

import pytest

from kernelhealth_operator.cluster.lease import LeaseTiming


@pytest.mark.parametrize(
    ("duration", "renew_deadline", "retry_period"),
    [(10, 10.0, 2.0), (15, 2.0, 2.0), (15, 10.0, 0.0), (15, 10.0, -1.0), (0, 0.0, 0.0)],
)
def test_times_that_would_let_two_lead_or_none_renew_are_refused(
    duration: int, renew_deadline: float, retry_period: float
) -> None:
    with pytest.raises(ValueError, match="The lease's times do not fit"):
        LeaseTiming(duration, renew_deadline, retry_period)
