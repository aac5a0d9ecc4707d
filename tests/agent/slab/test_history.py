from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from kernelhealth_agent.kernel import history
from kernelhealth_agent.kernel.history import History, Track
from kernelhealth_agent.kernel.slab_caches import Memories
from kernelhealth_agent.moments import Moment

START = Moment(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)


def looked(minutes: int, every: float = 60.0) -> History:
    """The history of a row that grows by one a minute."""
    made = History()
    for number in range(minutes):
        made = history.appended(made, {"row": 100 + number}, START.after(number * every))
    return made


@given(gaps=st.lists(st.floats(0, 40000), max_size=120))
def test_points_are_few_in_order_and_of_one_day(gaps: list[float]) -> None:
    made, now = History(), START

    for gap in gaps:
        now = now.after(gap)
        made = history.appended(made, {"row": 5}, now)

    times, values = made.row("row")
    assert len(times) == len(values) <= history.MOST
    assert list(times) == sorted(times)
    assert not gaps or times[-1] - times[0] <= history.WINDOW + 1


def test_a_young_history_is_fine_and_an_old_one_long() -> None:
    young, old = looked(30), looked(3 * 1440)

    assert [b - a for a, b in zip(young.times, young.times[1:], strict=False)] == [60.0] * 29
    assert old.times[-1] - old.times[0] > 0.9 * history.WINDOW
    assert len(old.times) > history.MOST / 2


def test_a_row_is_the_readings_at_its_times() -> None:
    made = looked(3 * 1440)

    times, values = made.row("row")

    assert [100 + (time - 1000) / 60 for time in times] == list(values)


def test_the_newest_reading_is_always_there() -> None:
    for minutes in (1, 2, 47, 48, 49, 50, 97, 500):
        assert looked(minutes).level("row") == 99 + minutes


def test_a_row_that_began_late_is_short_and_keeps_its_times() -> None:
    made = looked(20)
    for number in range(20, 40):
        made = history.appended(made, {"row": 1, "late": number}, START.after(number * 60))

    times, values = made.row("late")

    assert [(time - 1000) / 60 for time in times] == list(values) == list(range(20, 40))


def test_a_row_that_was_not_read_is_forgotten() -> None:
    made = history.appended(looked(5), {"other": 1}, START.after(600))

    assert made.row("row") == ((), ())
    assert made.level("row") is None


def test_a_clock_that_went_backwards_begins_anew() -> None:
    made = history.appended(looked(30), {"row": 7}, Moment(START.wall, 10.0))

    assert made.row("row") == ((10.0,), (7,))


def test_a_gap_while_the_agent_was_away_stays_a_gap() -> None:
    made = history.appended(looked(10), {"row": 900}, START.after(8 * 3600))

    times, values = made.row("row")

    assert times[-1] - times[-2] > 8 * 3600 - 600
    assert values[-1] == 900


def test_the_onset_is_when_a_row_left_its_low() -> None:
    made = History()
    for number in range(100):
        value = 1000 if number < 60 else 1000 + 20 * (number - 60)
        made = history.appended(made, {"row": value}, START.after(number * 60))

    track = made.tracks["row"]

    assert track.base == 1000
    assert START.after(60 * 60).wall <= track.onset <= START.after(63 * 60).wall


def test_a_fall_is_a_new_low() -> None:
    made = looked(30)
    now = START.after(4000)
    made = history.appended(made, {"row": 110}, now)

    assert made.tracks["row"].onset == now.wall
    assert made.tracks["row"].base == 110


def test_it_survives_being_written_down() -> None:
    made = Memories(looked(200), {"dentry": True}, {3: 17})
    adapter = TypeAdapter(Memories)

    assert adapter.validate_json(adapter.dump_json(made)) == made


@given(
    times=st.lists(st.floats(0, 1e6), max_size=60).map(sorted),
    points=st.lists(st.integers(0, 1 << 40), max_size=60),
    spacing=st.floats(0, 4000),
)
def test_a_memory_that_does_not_fit_together_stops_nothing(
    times: list[float], points: list[int], spacing: float
) -> None:
    track = Track(tuple(points), 0, START.wall)
    known = History(tuple(times), spacing, {"row": track})

    made = history.appended(known, {"row": 7}, Moment(START.wall, 1e6))

    for seen in (known, made):
        assert len(seen.row("row")[0]) == len(seen.row("row")[1])
    assert made.level("row") == 7
