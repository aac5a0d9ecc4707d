from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kernelhealth_agent import errors
from kernelhealth_agent.detectors import conntrack as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel import conntrack
from kernelhealth_agent.kernel.conntrack import Sample
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import conntrack as source
from kernelhealth_api.detector import Observation, Severity

Recorded = Callable[..., tuple[RecordedHost, Occasion[Any]]]
DEFAULTS = detector.ConntrackParams()


def sampled(recorded: Recorded, name: str, later: float = 0.0) -> Sample:
    """Look at a recorded host at the time of its recording, with what was known then."""
    host, occasion = recorded(name)
    said = host.recording()
    memory = source.SOURCE.recalled(said.get("memories", {}).get(source.SOURCE.name))
    late = said.get("uptime", occasion.moment.uptime) - occasion.moment.uptime + later
    return source.collect(*recorded(name, memory, late))


def observed(recorded: Recorded, name: str) -> list[Observation]:
    return list(detector.judge(sampled(recorded, name), DEFAULTS))


def test_a_full_table_that_drops_packets_is_critical_and_names_the_pod(recorded: Recorded) -> None:
    worst, _ = observed(recorded, "conntrack-full")

    assert worst.reason is detector.FULL
    assert worst.severity is Severity.CRITICAL
    assert worst.subject.pod == "shop/cart-1"
    assert worst.subject.rule == "net.netfilter.nf_conntrack_max = 65536"
    assert worst.cures == ("SetSysctl",)
    assert worst.message == (
        "Pod shop/cart-1 has 65536 connection tracking entries of 65536 (100%), and the kernel"
        " dropped 200 packets and evicted 60 connections in the last minutes: find out who opens"
        " so many connections, or raise net.netfilter.nf_conntrack_max."
    )


def test_a_table_that_is_nearly_full_and_loses_nothing_is_a_warning(recorded: Recorded) -> None:
    _, host = observed(recorded, "conntrack-full")

    assert (host.key, host.severity) == ("host", None)
    assert host.measure is not None
    assert host.measure.value == 61004


def test_losses_of_long_ago_are_none_any_more(recorded: Recorded) -> None:
    memory = None
    for later in (0.0, 400.0, 800.0):
        sample = source.collect(*recorded("conntrack-full", memory, later))
        memory = source.SOURCE.recalled(conntrack.remember(sample))

    assert all(table.recent.drop == 0 for table in sample.tables)


def test_a_healthy_host_has_no_finding(recorded: Recorded) -> None:
    sample = sampled(recorded, "conntrack-healthy")

    assert list(detector.judge(sample, DEFAULTS)) == []
    assert [table.entries for table in sample.tables] == [0, 42]
    assert sample.tables[1].marks is None


def test_a_kernel_without_connection_tracking_says_so(recorded: Recorded) -> None:
    with pytest.raises(errors.AbsentError, match="nf_conntrack_max does not exist"):
        sampled(recorded, "gssproxy-healthy")
