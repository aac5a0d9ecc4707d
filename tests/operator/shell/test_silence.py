from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kernelhealth_api.v1alpha1.nodekernelhealth import Health, NodeKernelHealthSpec
from kernelhealth_operator.held import HealthView, Reading
from kernelhealth_operator.silence import AGENT_SILENT, Arrival, Hearing, arrive, marked

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=50)
AFTER = 1800.0
READING = Reading("NetworkNamespacesHealthy", "True", "Healthy", "", NOW)
REPORTED = HealthView(
    name="alpha",
    uid="h1",
    resource_version="1",
    owner_uid="n1",
    spec=NodeKernelHealthSpec(),
    health=Health.HEALTHY,
    problems="",
    readings=(READING,),
    findings=(),
    boot_id=None,
    stamp=NOW,
    remediation=None,
)
SILENT = replace(REPORTED, problems=AGENT_SILENT, readings=(replace(READING, reason=AGENT_SILENT),))


def test_a_refresh_is_another_stamp_and_nothing_else() -> None:
    first = arrive(None, "n1", REPORTED, 10.0, NOW)

    rewritten = arrive(first, "n1", replace(REPORTED, resource_version="2"), 60.0, LATER)
    refreshed = arrive(first, "n1", replace(REPORTED, stamp=LATER), 60.0, LATER)

    assert rewritten == first
    assert (refreshed.at, refreshed.time) == (60.0, LATER)


def test_a_stamp_from_a_clock_that_stepped_back_is_a_refresh_too() -> None:
    first = arrive(None, "n1", REPORTED, 10.0, NOW)

    again = arrive(first, "n1", replace(REPORTED, stamp=NOW - timedelta(days=1)), 60.0, LATER)

    assert again.at == 60.0


def test_another_node_of_the_same_name_has_the_full_time() -> None:
    first = arrive(None, "n1", None, 10.0, NOW)

    assert arrive(first, "n2", None, 60.0, LATER).at == 60.0


def test_a_mark_from_before_the_start_stands_whichever_watch_is_first() -> None:
    node_first = arrive(arrive(None, "n1", None, 10.0, NOW), "n1", SILENT, 11.0, NOW)

    assert marked(SILENT)
    assert node_first.at is None
    assert arrive(None, "n1", SILENT, 10.0, NOW).at is None


def test_a_marked_agent_is_heard_by_its_next_stamp() -> None:
    quiet = arrive(None, "n1", SILENT, 10.0, NOW)

    heard = arrive(quiet, "n1", replace(REPORTED, stamp=LATER), 60.0, LATER)

    assert heard.at == 60.0


def test_an_agent_is_silent_when_its_time_is_over_and_not_before() -> None:
    hearing = Hearing(AFTER)
    hearing.listen(1800.0)
    arrival = Arrival("n1", known=True, stamp=NOW, at=10.0, time=NOW)

    assert not hearing.silent(arrival, 1809.9)
    assert hearing.silent(arrival, 1810.0)
    assert hearing.due(arrival) == 1810.0


def test_nobody_is_silent_while_nobody_can_be_heard() -> None:
    hearing = Hearing(AFTER)
    hearing.listen(100.0)
    arrival = Arrival("n1", known=True, stamp=NOW, at=10.0, time=NOW)

    assert not hearing.silent(arrival, 5000.0)


def test_after_a_time_without_hearing_everybody_has_the_full_time_again() -> None:
    hearing = Hearing(AFTER)
    hearing.listen(100.0)
    arrival = Arrival("n1", known=True, stamp=NOW, at=10.0, time=NOW)

    for heard in range(5000, 6800, 60):
        hearing.listen(float(heard))

    assert hearing.due(arrival) == 6800.0
    assert not hearing.silent(arrival, 6799.0)
    assert hearing.silent(arrival, 6800.0)
