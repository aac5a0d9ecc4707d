from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kernelhealth_agent import errors
from kernelhealth_agent.detectors import neighbours as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.neighbours import Sample
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import neighbours as source
from kernelhealth_api.detector import Observation, Severity

Recorded = Callable[..., tuple[RecordedHost, Occasion[Any]]]
DEFAULTS = detector.NeighboursParams()


def sampled(recorded: Recorded, name: str, later: float = 0.0) -> Sample:
    """Look at a recorded host at the time of its recording, with what was known then."""
    host, occasion = recorded(name)
    said = host.recording()
    memory = source.SOURCE.recalled(said.get("memories", {}).get(source.SOURCE.name))
    late = said.get("uptime", occasion.moment.uptime) - occasion.moment.uptime + later
    return source.collect(*recorded(name, memory, late))


def observed(recorded: Recorded, name: str) -> list[Observation]:
    return list(detector.judge(sampled(recorded, name), DEFAULTS))


def test_a_table_that_refuses_neighbours_is_critical_and_names_who_fills_it(
    recorded: Recorded,
) -> None:
    (found,) = observed(recorded, "neighbours-full")

    assert found.reason is detector.FULL
    assert found.severity is Severity.CRITICAL
    assert found.subject.pod == "shop/cart-1"
    assert found.subject.rule == "net.ipv4.neigh.default.gc_thresh3 = 128"
    assert "of which pod shop/cart-1 has 120, and the kernel refused 7 new ones" in found.message


def test_neighbours_that_do_not_count_against_the_limit_fill_no_table(recorded: Recorded) -> None:
    sample = sampled(recorded, "neighbours-exempt")

    table = sample.tables[0]
    assert (table.entries, table.limit, table.held) == (160, 128, 60)
    assert list(detector.judge(sample, DEFAULTS)) == []


def test_a_healthy_host_has_no_finding_and_no_namespace_was_asked(recorded: Recorded) -> None:
    sample = sampled(recorded, "neighbours-healthy")

    assert [table.protocol for table in sample.tables] == ["IPv4", "IPv6"]
    assert all(table.crowds == () for table in sample.tables)
    assert list(detector.judge(sample, DEFAULTS)) == []


def test_a_host_without_tables_says_so(recorded: Recorded) -> None:
    with pytest.raises(errors.AbsentError, match="arp_cache"):
        sampled(recorded, "gssproxy-healthy")
