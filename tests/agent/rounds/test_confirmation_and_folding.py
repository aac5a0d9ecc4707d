from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import Field

from kernelhealth_agent import confirmation, findings, measures
from kernelhealth_agent.moments import Moment
from kernelhealth_api.detector import Observation, Params, Reason, Severity, Subject
from kernelhealth_api.duration import Duration

START = Moment(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)


class Thresholds(Params):
    confirm_after: Duration = Field(timedelta(seconds=60), description="How long.")
    many: int = Field(5, description="How many.")


SLOW = Reason("Slow", Severity.WARNING, "Takes time", "confirm_after", "many")
QUICK = Reason("Quick", Severity.WARNING, "Takes no time")
NOTE = Reason("Note", Severity.INFO, "Only said", None, "many")


def leak(key: str, *, pod: str | None = None, reason: Reason = SLOW, **more: object) -> Observation:
    subject = Subject(pod=pod)
    made = Observation(reason, key, subject, f"Leak {key}", "Bug", ("Unmount", "Reboot"))
    return made if not more else Observation(**{**_fields(made), **more})  # type: ignore[arg-type]


def _fields(made: Observation) -> dict[str, object]:
    return {name: getattr(made, name) for name in Observation.__dataclass_fields__}


def confirmed(*every: Observation, hours: float = 0.1) -> list[confirmation.Seen]:
    """What is confirmed of observations that were there at a second look."""
    first = confirmation.confirm(None, every, Thresholds(), START)
    now = START.after(hours * 3600)
    return list(confirmation.confirm(first.watch, every, Thresholds(), now).confirmed)


def setting(hours: float = 0.1, **more: object) -> measures.Setting:
    return measures.Setting(Thresholds(), START.after(hours * 3600), START, **more)  # type: ignore[arg-type]


def test_two_looks_do_not_confirm_what_is_too_young() -> None:
    first = confirmation.confirm(None, [leak("a")], Thresholds(), START)
    second = confirmation.confirm(first.watch, [leak("a")], Thresholds(), START.after(59))

    assert second.confirmed == ()
    assert second.due == START.uptime + 60


def test_one_look_does_not_confirm_however_short_the_time() -> None:
    params = Thresholds(confirm_after=timedelta(0))

    verdict = confirmation.confirm(None, [leak("a")], params, START)

    assert verdict.confirmed == ()


def test_a_wall_clock_that_jumps_confirms_nothing() -> None:
    first = confirmation.confirm(None, [leak("a")], Thresholds(), START)
    jumped = Moment(START.wall + timedelta(days=9), START.uptime + 1)

    second = confirmation.confirm(first.watch, [leak("a")], Thresholds(), jumped)

    assert second.confirmed == ()


def test_memory_is_bounded_and_keeps_the_oldest() -> None:
    old = confirmation.confirm(None, [leak("old")], Thresholds(), START)
    flood = [leak(str(number)) for number in range(confirmation.MOST + 50)]

    verdict = confirmation.confirm(old.watch, [*flood, leak("old")], Thresholds(), START.after(1))

    assert len(verdict.watch.sightings) == confirmation.MOST
    assert "Slow/old" in verdict.watch.sightings


def test_the_message_names_the_oldest_how_many_and_whose_the_others_are() -> None:
    names = ["a", "b", "c", "d", "e"]
    every = [leak(name, pod=f"shop/{name}") for name in names]

    found = findings.fold(confirmed(*every), setting())

    assert [f.message for f in found] == [
        "Leak a. 5 in all, also of pods shop/b, shop/c, shop/d and 1 more."
    ]


def test_enough_subjects_make_a_finding_critical_whatever_their_causes() -> None:
    every = [leak(str(n), cause="Bug" if n % 2 else None) for n in range(5)]

    found = findings.fold(confirmed(*every), setting())

    assert {f.severity for f in found} == {Severity.CRITICAL}
    assert sorted(f.count for f in found) == [2, 3]
    assert {(f.value, f.threshold) for f in found} == {(5.0, 5.0)}


def test_any_number_of_notes_stays_a_note() -> None:
    every = [leak(str(n), reason=NOTE) for n in range(9)]

    found = findings.fold(confirmed(*every), setting())

    assert [f.severity for f in found] == [Severity.INFO]


def test_since_is_when_it_began_where_that_is_known() -> None:
    began = START.wall - timedelta(days=2)

    found = findings.fold(confirmed(leak("a"), leak("b", began=began)), setting())

    assert found[0].since == began
    assert found[0].message.startswith("Leak b")


def test_the_rate_counts_newcomers_and_not_what_was_there_at_first() -> None:
    first = confirmation.confirm(None, [leak("old")], Thresholds(), START)
    both = [leak("old"), leak("new")]
    second = confirmation.confirm(first.watch, both, Thresholds(), START.after(3600))
    last = confirmation.confirm(second.watch, both, Thresholds(), START.after(7200))

    found = findings.fold(last.confirmed, setting(2.0, capacities={"Slow": 12.0}))

    assert found[0].per_hour == 0.5
    assert found[0].exhaustion == START.after(22 * 3600).wall


def test_there_is_no_rate_before_an_hour_has_passed() -> None:
    found = findings.fold(confirmed(leak("a"), hours=0.9), setting(0.9))

    assert found[0].per_hour is None


def test_cures_of_several_subjects_are_joined_mildest_first() -> None:
    every = [leak("a"), leak("b", cures=("StopHolder", "Unmount", "Reboot"))]

    found = findings.fold(confirmed(*every), setting())

    assert found[0].cures == ("StopHolder", "Unmount", "Reboot")


def test_names_from_outside_cannot_write_to_the_terminal() -> None:
    found = findings.fold(confirmed(leak("a", subject=Subject(pod="x\x1b[2J/y\n"))), setting())

    assert found[0].subject.pod == "x\ufffd[2J/y "
