"""Kernel memory that really grows on this kernel, and a workload that grows beside it."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kernelhealth_agent.detectors import slab as detector
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import populations, slabinfo
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.kernel.slab_caches import Memories, Sample
from kernelhealth_agent.kernel.slab_limits import SlabParams
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import slab as source
from kernelhealth_api.detector import Observation
from kernelhealth_e2e.faults.kernel_messages import hoard
from kernelhealth_e2e.faults.namespace import sandbox
from kernelhealth_e2e.faults.open_sockets import workload

LOOKS, MINUTE = 14, 60.0
QUICK = SlabParams(span=timedelta(minutes=10), growth_bytes=4 << 20)
# Large ones: what else this machine does meanwhile is small beside them.
SIZE = 4096
HOARD = {"msg_msg-4k", "kmalloc-cg-4k", "kmalloc-4k", "kmalloc-4096"}
SOCKETS = {"TCP", "filp", "sock_inode_cache", "lsm_file_cache", "lsm_inode_cache"}
STEPS = (700, 1300, 500, 900, 1100, 400, 1500, 600, 1000, 800, 1200, 450, 950, 750)


@dataclass
class Watcher:
    """Looks at this machine once a minute of a clock that only looks move on."""

    host: LiveHost
    inventory: Inventory
    now: Moment = field(default_factory=lambda: Moment(datetime(2026, 1, 1, tzinfo=UTC), 1000.0))
    memory: Memories | None = None

    def look(self) -> Sample:
        self.now = self.now.after(MINUTE)
        sample = source.collect(self.host, Occasion(self.inventory, self.now, self.memory))
        assert source.SOURCE.remember is not None
        self.memory = source.SOURCE.remember(sample)
        return sample

    def found(self, names: set[str]) -> list[Observation]:
        return [o for o in detector.judge(self.look(), QUICK) if o.key in names]


@pytest.fixture
def watcher(live: LiveHost, look: Callable[..., Inventory]) -> Watcher:
    return Watcher(live, look())


def objects(names: set[str]) -> int:
    rows = slabinfo.rows(Path("/proc/slabinfo").read_bytes(), "proc/slabinfo")
    return sum(row.objects for row in rows if row.name in names)


def test_memory_that_nobody_holds_is_a_leak_until_it_is_freed(watcher: Watcher) -> None:
    before = objects(HOARD)
    with hoard() as made:
        watcher.look()
        for step in STEPS:
            made.grow(step, SIZE)
            leaking = watcher.found(HOARD)
    deadline = time.monotonic() + 120
    while objects(HOARD) > before + sum(STEPS) / 2:
        assert time.monotonic() < deadline, "the kernel did not free the messages"

    (leak,) = leaking
    assert leak.measure is not None
    assert leak.measure.per_hour == pytest.approx(sum(STEPS) / len(STEPS) * 60 * SIZE, rel=0.15)
    assert leak.measure.exhaustion is not None
    assert f"Slab cache {leak.key}" in leak.message
    assert watcher.found(HOARD) == []


def test_the_same_growth_with_an_owner_is_a_workload(watcher: Watcher) -> None:
    with workload() as made:
        before = objects(SOCKETS)
        watcher.look()
        for step in STEPS:
            made.grow(step)
            found = watcher.found(SOCKETS)
        grown = objects(SOCKETS) - before

    assert grown > sum(STEPS)
    assert found == []


def test_what_grows_for_a_short_time_only_is_no_leak_yet(watcher: Watcher) -> None:
    with hoard() as made:
        for _ in range(5):
            made.grow(2000, SIZE)
            found = watcher.found(HOARD)

    assert found == []


@pytest.fixture
def one_processor() -> Iterator[None]:
    """Stay on one processor: each gives out numbers of its own."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_processor")
def test_namespaces_are_counted_by_the_numbers_that_the_kernel_gives_them(live: LiveHost) -> None:
    known: dict[int, int] = {}
    totals = [0]

    for _ in range(5):
        with sandbox() as made:
            cookie = live.cookie(made.file.lstrip("/"))
        if cookie is None:
            pytest.skip("this kernel numbers no namespaces (Linux < 5.14)")
        known = populations.births(known, [cookie])
        totals.append(sum(known.values()))

    assert all(after > before for before, after in itertools.pairwise(totals))
