"""When maintenance windows open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_api.v1alpha1.kernelhealthpolicy import MaintenanceWindow
from kernelhealth_operator.policy import windows


def window(schedule: str, zone: str = "UTC") -> MaintenanceWindow:
    return MaintenanceWindow(schedule=schedule, duration=timedelta(hours=4), time_zone=zone)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


OPENINGS = {
    "on the next day it names": ("0 2 * * 6", "UTC", "2026-01-01T12:00", "2026-01-03T02:00"),
    "in its own zone": ("0 2 * * 6", "Europe/Berlin", "2026-01-01T12:00", "2026-01-03T01:00"),
    "in summer an hour earlier by UTC": (
        "0 2 * * 6",
        "Europe/Berlin",
        "2026-07-01T12:00",
        "2026-07-04T00:00",
    ),
    "after the hour that spring skips": (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00",
        "2026-03-29T01:00",
    ),
    "at the first of the hours that autumn repeats": (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00",
        "2026-10-25T00:30",
    ),
    "and not at the second": (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-25T00:30",
        "2026-10-26T01:30",
    ),
    "strictly later than asked": ("0 2 * * *", "UTC", "2026-01-01T02:00", "2026-01-02T02:00"),
    "on a leap day": ("0 2 29 2 *", "UTC", "2026-01-01T00:00", "2028-02-29T02:00"),
    "by the names of days": ("0 2 * * SAT", "UTC", "2026-01-01T12:00", "2026-01-03T02:00"),
}


@pytest.mark.parametrize(("schedule", "zone", "after", "opening"), OPENINGS.values(), ids=OPENINGS)
def test_a_window_opens(schedule: str, zone: str, after: str, opening: str) -> None:
    assert windows.next_opening(window(schedule, zone), at(after)) == at(opening)


def test_a_day_that_comes_every_28_years_is_as_good_as_never() -> None:
    # Five Mondays in a February: next in 2044.
    rare = window("0 2 * 2 MON#5")

    assert windows.next_opening(rare, at("2026-01-01T00:00")) is None


def test_a_schedule_that_cannot_be_read_is_said_to_be_one() -> None:
    with pytest.raises(windows.WindowError, match="is not a schedule") as caught:
        windows.next_opening(window("0 25 * * *"), at("2026-01-01T00:00"))

    assert caught.value.field == "schedule"


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "Europe", "/etc/passwd", "../UTC", "a\0b"])
def test_a_zone_that_does_not_exist_is_said_to_be_none(zone: str) -> None:
    with pytest.raises(windows.WindowError, match="is not a time zone") as caught:
        windows.next_opening(window("0 2 * * *", zone), at("2026-01-01T00:00"))

    assert caught.value.field == "timeZone"


def test_of_several_windows_the_first_to_open_counts_and_wrong_ones_do_not() -> None:
    several = [window("0 4 * * *"), window("0 3 * * *"), window("0 1 * * *", "Nowhere")]

    assert windows.next_of(several, at("2026-01-01T00:00")) == at("2026-01-01T03:00")
    assert windows.next_of([], at("2026-01-01T00:00")) is None


@given(
    st.integers(0, 59),
    st.integers(0, 23),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)),  # noqa: DTZ001 - the zone is added below
)
def test_a_daily_window_opens_within_about_a_day_all_year(
    minute: int, hour: int, zone: str, after: datetime
) -> None:
    asked = after.replace(tzinfo=UTC)

    opening = windows.next_opening(window(f"{minute} {hour} * * *", zone), asked)

    assert opening is not None
    assert timedelta(0) < opening - asked <= timedelta(hours=26)


OPEN = {
    "from the minute it opens": ("0 2 * * *", "UTC", "2026-01-03T02:00", "2026-01-03T06:00"),
    "to the second before it closes": ("0 2 * * *", "UTC", "2026-01-03T05:59", "2026-01-03T06:00"),
    "past midnight": ("0 22 * * *", "UTC", "2026-01-03T01:00", "2026-01-03T02:00"),
    "in its own zone": ("0 2 * * *", "Europe/Berlin", "2026-01-03T01:30", "2026-01-03T05:00"),
    "four true hours over the hour that spring skips": (
        "0 1 * * *",
        "Europe/Berlin",
        "2026-03-29T03:59",
        "2026-03-29T04:00",
    ),
    "four true hours over the hour that autumn repeats": (
        "0 1 * * *",
        "Europe/Berlin",
        "2026-10-25T02:30",
        "2026-10-25T03:00",
    ),
    "after the skipped hour it was to open in": (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-29T01:00",
        "2026-03-29T05:00",
    ),
    "until the newest of openings that overlap": (
        "0 */2 * * *",
        "UTC",
        "2026-01-03T03:00",
        "2026-01-03T06:00",
    ),
}


@pytest.mark.parametrize(("schedule", "zone", "now", "until"), OPEN.values(), ids=OPEN)
def test_a_window_is_open(schedule: str, zone: str, now: str, until: str) -> None:
    assert windows.open_until(window(schedule, zone), at(now)) == at(until)


CLOSED = {
    "before it opens": ("0 2 * * *", "UTC", "2026-01-03T01:59"),
    "from the minute it closes": ("0 2 * * *", "UTC", "2026-01-03T06:00"),
    "on another day": ("0 2 * * 6", "UTC", "2026-01-04T03:00"),
    "after four hours, whatever the clocks on the wall show": (
        "0 1 * * *",
        "Europe/Berlin",
        "2026-10-25T03:00",
    ),
}


@pytest.mark.parametrize(("schedule", "zone", "now"), CLOSED.values(), ids=CLOSED)
def test_a_window_is_closed(schedule: str, zone: str, now: str) -> None:
    assert windows.open_until(window(schedule, zone), at(now)) is None


def test_windows_that_follow_upon_each_other_are_one() -> None:
    night, morning = window("0 22 * * *"), window("0 2 * * *")

    assert windows.until_of([morning, night], at("2026-01-01T23:00")) == at("2026-01-02T06:00")


def test_a_window_that_never_closes_is_looked_along_for_a_while_only() -> None:
    always = window("* * * * *")

    until = windows.until_of([always], at("2026-01-01T00:00"))

    assert until is not None
    assert until - at("2026-01-01T00:00") >= windows.LONGEST


def test_the_spans_begin_with_what_is_left_of_the_window_that_is_open() -> None:
    spans = windows.spans([window("0 2 * * *")], at("2026-01-01T03:00"))

    assert [next(spans), next(spans)] == [
        (at("2026-01-01T03:00"), at("2026-01-01T06:00")),
        (at("2026-01-02T02:00"), at("2026-01-02T06:00")),
    ]


def test_the_hour_that_autumn_repeats_opens_nothing_in_the_past() -> None:
    asked = at("2026-10-25T01:10")

    opening = windows.next_opening(window("30 2 * * *", "Europe/Berlin"), asked)

    assert opening == at("2026-10-26T01:30")


SCHEDULES = st.sampled_from(
    ["30 2 * * *", "0 1 * * *", "15 */3 * * *", "*/20 2 * * *", "0 2 * * 0", "30 2 25-31 3,10 *"]
)
ZONES = st.sampled_from(
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "UTC"]
)


@given(SCHEDULES, ZONES, st.sampled_from([3, 4, 10, 11]), st.integers(0, 31 * 24 * 60))
def test_the_last_opening_is_the_last_that_the_way_forth_finds(
    schedule: str, zone: str, month: int, minutes: int
) -> None:
    until = datetime(2026, month, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    after, openings = until - timedelta(days=9), []
    moment: datetime | None = after
    while moment is not None and moment <= until:
        openings.append(moment)
        moment = windows.next_opening(window(schedule, zone), moment)

    last = windows.last_opening(window(schedule, zone), after, until)

    assert last == (openings[-1] if len(openings) > 1 else None)


@given(SCHEDULES, ZONES, st.sampled_from([3, 10]), st.integers(0, 31 * 24 * 60))
def test_a_window_is_open_exactly_for_its_duration_after_an_opening(
    schedule: str, zone: str, month: int, minutes: int
) -> None:
    now = datetime(2026, month, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    one = window(schedule, zone)

    until = windows.open_until(one, now)

    opened = windows.last_opening(one, now - timedelta(days=40), now)
    expected = None if opened is None else opened + one.duration
    assert until == (expected if expected is not None and expected > now else None)
