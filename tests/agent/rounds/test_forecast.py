"""A forecast makes a finding Critical, and the detector of leaked namespaces makes a forecast."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import Field

from kernelhealth_agent import confirmation, findings, measures
from kernelhealth_agent.detectors import network_namespaces as detector
from kernelhealth_agent.errors import UnreadableError
from kernelhealth_agent.kernel import meminfo
from kernelhealth_agent.kernel.leaks import NetworkNamespaces, Unreachable
from kernelhealth_agent.moments import Moment
from kernelhealth_api.detector import Observation, Params, Reason, Severity, Subject
from kernelhealth_api.duration import Duration
from kernelhealth_api.v1alpha1.finding import Finding

START = Moment(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)


class Thresholds(Params):
    before: Duration = Field(timedelta(hours=24), description="How long before.")


LEAK = Reason("Leak", Severity.WARNING, "Grows", forecast="before")


def folded(severity: Severity | None, capacity: float) -> Finding:
    """Two leaks that came within the last two hours, of as many as the node can bear."""
    first = confirmation.confirm(None, (), Thresholds(), START)
    every = [
        Observation(LEAK, key, Subject(), f"Leak {key}", severity=severity) for key in ("a", "b")
    ]
    seen = confirmation.confirm(first.watch, every, Thresholds(), START.after(3600))
    setting = measures.Setting(Thresholds(), START.after(7200), START, {"Leak": capacity})
    (found,) = findings.fold(seen.confirmed, setting)
    return found


@pytest.mark.parametrize(
    ("capacity", "severity"),
    [(26, Severity.CRITICAL), (27, Severity.WARNING), (2, Severity.CRITICAL)],
)
def test_a_node_that_runs_out_in_time_is_critical(capacity: float, severity: Severity) -> None:
    assert folded(None, capacity).severity is severity


def test_a_note_is_not_made_critical_by_a_forecast() -> None:
    assert folded(Severity.INFO, 3).severity is Severity.INFO


def test_as_many_namespaces_fit_as_are_there_and_as_memory_has_room_for() -> None:
    seen = NetworkNamespaces(3, 4, None, 5, (Unreachable(1),))

    assert detector.DETECTOR.capacities(seen) == {"NetworkNamespaceLeaked": 6}
    assert detector.DETECTOR.capacities(replace(seen, room=None)) == {}


def test_available_memory_is_read_in_bytes() -> None:
    text = b"MemTotal:       24684084 kB\nMemAvailable:   17682 kB\n"

    assert meminfo.available(text, "proc/meminfo") == 17682 * 1024


@pytest.mark.parametrize("text", [b"", b"MemAvailable: x kB\n", Path(__file__).read_bytes()])
def test_memory_that_is_not_told_is_an_error(text: bytes) -> None:
    with pytest.raises(UnreadableError, match="proc/meminfo cannot be understood"):
        meminfo.available(text.replace(b"17682", b"x"), "proc/meminfo")
