"""When a queue of reboots is through, and whether the windows are long enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelhealth_api.v1alpha1.kernelhealthpolicy import MaintenanceWindow
from kernelhealth_operator.policy import windows
from kernelhealth_operator.policy.backlog import Backlog, Outlook, foresee

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NIGHTLY = MaintenanceWindow(schedule="0 2 * * *", duration=timedelta(hours=2))
HALF = timedelta(minutes=30)


def test_nobody_waits_for_anything() -> None:
    assert foresee(Backlog(0, 2, HALF), [NIGHTLY], NOON) == Outlook()


def test_without_windows_it_goes_on_at_once() -> None:
    outlook = foresee(Backlog(5, 2, HALF), [], NOON)

    assert outlook == Outlook(NOON + 3 * HALF)


def test_what_fits_is_through_within_the_next_window() -> None:
    outlook = foresee(Backlog(8, 2, HALF), [NIGHTLY], NOON)

    assert outlook == Outlook(NOON + timedelta(hours=16), fits=8)


def test_what_does_not_fit_goes_on_in_the_window_after_and_is_told() -> None:
    outlook = foresee(Backlog(9, 2, HALF), [NIGHTLY], NOON)

    assert outlook.through == NOON + timedelta(hours=38, minutes=30)
    assert outlook.too_short == (
        "9 reboots wait, 2 at once for 30m each, but only 8 fit into the next window: "
        "lengthen the window, add another, or raise maxUnavailable"
    )


def test_the_rest_of_an_open_window_counts_with_the_next() -> None:
    late = datetime(2026, 1, 1, 3, 50, tzinfo=UTC)

    outlook = foresee(Backlog(8, 2, HALF), [NIGHTLY], late)

    assert outlook == Outlook(late.replace(day=2, hour=4, minute=0), fits=8)


def test_windows_in_which_nothing_fits_are_never_enough() -> None:
    outlook = foresee(Backlog(1, 1, timedelta(hours=3)), [NIGHTLY], NOON)

    assert outlook.through is None
    assert "no window is long enough for a single one" in outlook.too_short


def test_windows_that_never_close_are_followed_no_further_than_the_queue_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Each start of the schedule's library is one step from window to window.
    steps = Mock(wraps=CronSim)
    monkeypatch.setattr(windows, "CronSim", steps)
    always = MaintenanceWindow(schedule="* * * * *", duration=HALF)

    outlook = foresee(Backlog(1, 1, HALF), [always], NOON)

    assert outlook.through == NOON + HALF
    assert steps.call_count < 2000


@settings(max_examples=30)
@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 240))
def test_more_hands_are_never_slower(waiting: int, hands: int, minutes: int) -> None:
    each = timedelta(minutes=minutes)

    few = foresee(Backlog(waiting, hands, each), [NIGHTLY], NOON).through
    many = foresee(Backlog(waiting, hands + 1, each), [NIGHTLY], NOON).through

    assert few is None or (many is not None and many <= few)
