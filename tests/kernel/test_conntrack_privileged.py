"""A namespace that tracks many connections on this kernel, and one beside it that tracks few."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelhealth_agent import moments
from kernelhealth_agent.detectors import conntrack as detector
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel.conntrack import Sample
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import conntrack as source
from kernelhealth_api.detector import Observation
from kernelhealth_e2e.faults.full_tables import track
from kernelhealth_e2e.faults.namespace import sandbox

MAXIMUM = Path("/proc/sys/net/netfilter/nf_conntrack_max")
MANY, FEW = 400, 10


@pytest.fixture(autouse=True)
def _tracking() -> None:
    """Have the kernel track a connection: it loads what that takes when the first asks for it."""
    if not MAXIMUM.exists():
        with sandbox() as first, contextlib.suppress(OSError, subprocess.CalledProcessError):
            track(first.file, 1)
    if not MAXIMUM.exists():
        pytest.skip("this kernel does no connection tracking")


@pytest.fixture
def sampled(live: LiveHost, look: Callable[..., Inventory]) -> Callable[[], Sample]:
    """Look at this machine."""

    def taken() -> Sample:
        return source.collect(live, Occasion(look(), moments.now()))

    return taken


def judged(sample: Sample, entries: int) -> list[Observation]:
    """Judge as if so many entries were too many, since the limit of this machine is left alone."""
    percent = 100 * entries / sample.maximum
    return list(detector.judge(sample, detector.ConntrackParams(warning_percent=percent)))


def test_the_namespace_with_many_entries_is_named_and_the_other_is_not(
    sampled: Callable[[], Sample],
) -> None:
    with sandbox() as full, sandbox() as healthy:
        track(full.file, MANY)
        track(healthy.file, FEW)
        sample = sampled()

    found = {o.subject.namespace: o for o in judged(sample, MANY)}
    entries = {table.space.inode: table.entries for table in sample.tables}
    assert entries[full.inode] == MANY
    assert entries[healthy.inode] == FEW
    assert full.inode in found
    assert healthy.inode not in found
    assert found[full.inode].subject.rule == f"net.netfilter.nf_conntrack_max = {sample.maximum}"


def test_a_finding_is_over_when_the_namespace_ends(sampled: Callable[[], Sample]) -> None:
    with sandbox() as full:
        track(full.file, MANY)

    assert full.inode not in {o.subject.namespace for o in judged(sampled(), MANY)}


def test_at_its_defaults_this_machine_is_well(sampled: Callable[[], Sample]) -> None:
    with sandbox() as busy:
        track(busy.file, FEW)

        assert list(detector.judge(sampled(), detector.ConntrackParams())) == []
