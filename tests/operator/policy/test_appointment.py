"""When something disruptive may begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kernelhealth_api.v1alpha1.kernelhealthpolicy import MaintenanceWindow
from kernelhealth_operator.policy.appointment import Appointment, When, Wish, arrange

NIGHTLY = MaintenanceWindow(schedule="0 2 * * *", duration=timedelta(hours=2))
WEEKLY = MaintenanceWindow(schedule="0 2 * * 6", duration=timedelta(hours=4))
BRIEF = MaintenanceWindow(schedule="0 1 * * *", duration=timedelta(minutes=5))
WRONG = MaintenanceWindow(schedule="0 1 * * *", duration=timedelta(hours=9), time_zone="Nowhere")
NEEDS = timedelta(minutes=15)
WINDOW, NOW, BEFORE = When.MAINTENANCE_WINDOW, When.NOW, When.BEFORE_EXHAUSTION


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(begins: str, ends: str | None = None) -> Appointment:
    return Appointment(at(begins), None if ends is None else at(ends))


Case = tuple[When, str | None, tuple[MaintenanceWindow, ...], str, Appointment | None]
MADE: dict[str, Case] = {
    "at once, if nothing is to be waited for": (
        NOW,
        None,
        (NIGHTLY,),
        "2026-01-01T12:00",
        span("2026-01-01T12:00"),
    ),
    "in the next window": (
        WINDOW,
        None,
        (WEEKLY, NIGHTLY),
        "2026-01-01T12:00",
        span("2026-01-02T02:00", "2026-01-02T04:00"),
    ),
    "in the window that is open": (
        WINDOW,
        None,
        (NIGHTLY,),
        "2026-01-01T03:45",
        span("2026-01-01T03:45", "2026-01-01T04:00"),
    ),
    "in the next window when too little is left of this one": (
        WINDOW,
        None,
        (NIGHTLY,),
        "2026-01-01T03:46",
        span("2026-01-02T02:00", "2026-01-02T04:00"),
    ),
    "never in a window that is too brief": (WINDOW, None, (BRIEF,), "2026-01-01T12:00", None),
    "never without a window": (WINDOW, None, (), "2026-01-01T12:00", None),
    "not in a window that cannot be understood": (
        WINDOW,
        None,
        (WRONG, NIGHTLY),
        "2026-01-01T12:00",
        span("2026-01-02T02:00", "2026-01-02T04:00"),
    ),
    "in the last window before the node runs out": (
        BEFORE,
        "2026-01-05T12:00",
        (NIGHTLY,),
        "2026-01-01T12:00",
        span("2026-01-05T02:00", "2026-01-05T04:00"),
    ),
    "in a later window, although one is open": (
        BEFORE,
        "2026-01-05T12:00",
        (NIGHTLY,),
        "2026-01-01T02:30",
        span("2026-01-05T02:00", "2026-01-05T04:00"),
    ),
    "in the open window when it is the last before the node runs out": (
        BEFORE,
        "2026-01-01T12:00",
        (NIGHTLY,),
        "2026-01-01T02:30",
        span("2026-01-01T02:30", "2026-01-01T04:00"),
    ),
    "in the window before one that opens too late": (
        BEFORE,
        "2026-01-05T02:10",
        (NIGHTLY,),
        "2026-01-01T12:00",
        span("2026-01-04T02:00", "2026-01-04T04:00"),
    ),
    "at once when the node runs out before any window": (
        BEFORE,
        "2026-01-02T01:00",
        (NIGHTLY,),
        "2026-01-01T12:00",
        span("2026-01-01T12:00"),
    ),
    "at once when the node should have run out already": (
        BEFORE,
        "2026-01-01T11:00",
        (NIGHTLY,),
        "2026-01-01T12:00",
        span("2026-01-01T12:00"),
    ),
    "at once when the node will run out and there are no windows": (
        BEFORE,
        "2026-03-01T00:00",
        (),
        "2026-01-01T12:00",
        span("2026-01-01T12:00"),
    ),
    "in the next window without a forecast": (
        BEFORE,
        None,
        (NIGHTLY,),
        "2026-01-01T12:00",
        span("2026-01-02T02:00", "2026-01-02T04:00"),
    ),
}


@pytest.mark.parametrize(("when", "out", "openings", "now", "made"), MADE.values(), ids=MADE)
def test_an_appointment_is_made(
    when: When,
    out: str | None,
    openings: tuple[MaintenanceWindow, ...],
    now: str,
    made: Appointment | None,
) -> None:
    wish = Wish(when, NEEDS, None if out is None else at(out))

    assert arrange(wish, openings, at(now)) == made
