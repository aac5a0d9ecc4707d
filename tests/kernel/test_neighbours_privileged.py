"""Many neighbours of this kernel: those that count against the limit, and those that do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernelhealth_agent import moments
from kernelhealth_agent.detectors import neighbours as detector
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.kernel.neighbours import Sample, Table
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import neighbours as source
from kernelhealth_e2e.faults.full_tables import neighbours
from kernelhealth_e2e.faults.namespace import sandbox

PARAMS = detector.NeighboursParams(warning_percent=50.0)


@pytest.fixture
def tables(live: LiveHost, look: Callable[..., Inventory]) -> Callable[[], dict[str, Table]]:
    """Look at this machine, and return its tables by protocol."""

    def taken() -> dict[str, Table]:
        sample = source.collect(live, Occasion(look(), moments.now()))
        return {table.protocol: table for table in sample.tables}

    return taken


def half(table: Table) -> int:
    """Return half of the limit, and a few more."""
    if table.limit > 8192:
        pytest.skip(f"{table.sysctl} of this machine is too high to make half of it")
    return table.limit // 2 + 10


def test_the_namespace_with_most_neighbours_is_named(
    tables: Callable[[], dict[str, Table]],
) -> None:
    number = half(tables()["IPv4"])
    # Were all of them held against the limit, those older than five seconds could go any time.
    few = number // 4
    with sandbox() as made, neighbours(made.file, few, permanent=number - few):
        found = tables()["IPv4"]

    params = detector.NeighboursParams(warning_percent=99 * few / found.limit)
    (observation,) = detector.judge(Sample((found,)), params)
    assert observation.subject.namespace == made.inode
    assert found.crowds[0].population.total >= number
    assert found.held >= few
    assert "of which network namespace" in observation.message


def test_permanent_neighbours_do_not_count_against_the_limit(
    tables: Callable[[], dict[str, Table]],
) -> None:
    number = half(tables()["IPv4"])
    with sandbox() as made, neighbours(made.file, 0, permanent=number):
        found = tables()["IPv4"]

    assert found.entries >= number
    assert found.held < number
    assert list(detector.judge(Sample((found,)), PARAMS)) == []


def test_a_machine_with_few_neighbours_asks_no_namespace(
    tables: Callable[[], dict[str, Table]],
) -> None:
    found = tables()

    assert set(found) <= {"IPv4", "IPv6"}
    assert all(table.crowds == () for table in found.values() if table.entries * 2 < table.limit)
