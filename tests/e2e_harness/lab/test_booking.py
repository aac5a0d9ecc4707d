"""Windows for which a reboot is booked, held against what the operator makes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kernelhealth_api.v1alpha1.kernelhealthpolicy import MaintenanceWindow
from kernelhealth_e2e.lab import booking
from kernelhealth_operator.policy.appointment import When, Wish, arrange

NOW = datetime(2026, 12, 31, 23, 58, 10, tzinfo=UTC)
WISH = Wish(When.BEFORE_EXHAUSTION, timedelta(minutes=5), NOW + timedelta(hours=2))


def openings(*opens: datetime) -> list[MaintenanceWindow]:
    return [MaintenanceWindow.model_validate(one) for one in booking.windows(*opens)]


def test_a_leak_waits_for_the_window_and_not_for_the_next_year() -> None:
    opens = booking.soon(NOW)

    found = arrange(WISH, openings(opens), NOW)

    assert opens == datetime(2027, 1, 1, tzinfo=UTC)
    assert found is not None
    assert found.begins == opens


@pytest.mark.parametrize(
    ("opens", "begins"), [(timedelta(minutes=20), 1190), (timedelta(minutes=-2), 0)]
)
def test_a_reboot_is_booked_for_the_last_window_before_the_forecast_or_for_the_open_one(
    opens: timedelta, begins: int
) -> None:
    later = timedelta(days=30)

    found = arrange(WISH, openings(NOW + opens, NOW + opens + later), NOW)

    assert found is not None
    assert found.begins == NOW + timedelta(seconds=begins)


@pytest.mark.parametrize(
    ("window", "booked"),
    [("last maintenance window before the forecast", True), ("next maintenance window", False)],
)
def test_a_reboot_is_booked_where_it_waits_for_the_last_window_before_the_forecast(
    window: str, *, booked: bool
) -> None:
    waiting = f"MaintenanceWindow: the {window} opens at 2027-01-01 00:00:00Z"

    assert booking.is_booked({"status": {"waitingFor": waiting}}) is booked
    assert not booking.is_booked({"status": {}})
