"""Mounts of this kernel that nothing shows, namespaces without processes, and full ones."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from kernelhealth_agent import errors, moments
from kernelhealth_agent.detectors import mounts as detector
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.hosts.mount_namespaces import MountNamespaces
from kernelhealth_agent.kernel.history import History
from kernelhealth_agent.kernel.mount_namespaces import Orphan, Sample
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import mounts as source
from kernelhealth_api.detector import Severity
from kernelhealth_e2e.faults.many_mounts import (
    detached_mounts,
    full_namespace,
    orphaned_namespace,
)
from kernelhealth_e2e.faults.namespace import sandbox

CLONE_NEWNS, CLONE_FS = 0x20000, 0x200
TREES, MANY = 100, 1000

Sampled = Callable[..., Sample]


@pytest.fixture
def sampled(live: LiveHost, look: Callable[..., Inventory]) -> Sampled:
    """Look at this machine, so many seconds later than it is, with what was known before."""
    inventory, began = look(), moments.now()

    def taken(later: float = 0.0, memory: History | None = None) -> Sample:
        return source.collect(live, Occasion(inventory, began.after(later), memory))

    return taken


@pytest.fixture
def _listing(live: LiveHost) -> None:
    try:
        live.probe(MountNamespaces())
    except errors.AbsentError:
        pytest.skip("this kernel does not list its mount namespaces: Linux 6.12 does")


def settled(sampled: Sampled) -> Sample:
    """Look until what was let go of before is freed: the kernel does it later and tells nobody."""
    deadline, falls, sample = time.monotonic() + 20, True, sampled()
    while falls and time.monotonic() < deadline:
        before = sample.unexplained or 0
        time.sleep(0.5)
        sample = sampled()
        falls = before - (sample.unexplained or 0) > 200
    return sample


def orphans(sample: Sample) -> dict[int, Orphan]:
    return {orphan.inode: orphan for orphan in sample.orphans or ()}


def test_detached_mounts_are_unexplained(sampled: Sampled) -> None:
    before = settled(sampled)
    if before.unexplained is None:
        pytest.skip("this kernel does not tell how many mounts there are")
    own = Path("/proc/self/mountinfo").read_bytes().count(b"\n")
    with detached_mounts(TREES):
        during = sampled()

    assert during.unexplained is not None
    assert during.unexplained > before.unexplained + TREES * own // 2
    shown = during.visible - before.visible
    assert shown < during.unexplained - before.unexplained


def leaking(sampled: Sampled) -> Sample:
    """Let ever more mounts be where nothing shows them, for three looks."""
    sample = settled(sampled)
    with contextlib.ExitStack() as stack:
        for later in (1200.0, 2400.0, 3600.0):
            stack.enter_context(detached_mounts(3 * TREES))
            sample = sampled(later, sample.history)
    return sample


def test_a_leak_is_a_finding_with_its_growth(sampled: Sampled) -> None:
    params = detector.MountsParams(unexplained_mounts=TREES, growing_for=timedelta(hours=1))
    if sampled().objects is None:
        pytest.skip("this kernel does not tell how many mounts there are")

    # Whoever ends mount namespaces by the thousand meanwhile disturbs a try.
    tries = (leaking(sampled) for _ in range(8))
    sample = next(one for one in tries if one.growth is not None and one.growth.lower > 0)

    (leak,) = [o for o in detector.judge(sample, params) if o.reason is detector.LEAK]
    assert leak.measure is not None
    assert (leak.measure.per_hour or 0) > TREES
    assert (leak.severity is Severity.INFO) == bool(sample.objects and sample.objects.merged)


def test_many_mounts_that_a_namespace_shows_are_no_leak(sampled: Sampled) -> None:
    params = detector.MountsParams(unexplained_mounts=4 * MANY, growing_for=timedelta(hours=1))
    sample = settled(sampled)
    with contextlib.ExitStack() as stack:
        for later in range(600, 4201, 600):
            stack.enter_context(full_namespace(MANY))
            sample = sampled(float(later), sample.history)

    assert [o for o in detector.judge(sample, params) if o.reason is detector.LEAK] == []


def test_a_full_namespace_is_named_and_its_neighbour_is_not(sampled: Sampled) -> None:
    with full_namespace(MANY) as full, sandbox(CLONE_NEWNS) as healthy:
        sample = sampled()

    assert sample.maximum is not None
    params = detector.MountsParams(warning_percent=100 * MANY / sample.maximum)
    found = [o for o in detector.judge(sample, params) if o.reason is detector.FULL]
    (mine,) = [o for o in found if f"[{full.pid}]" in str(o.subject.process)]
    assert mine.cures == ("SetSysctl", "StopHolder")
    assert mine.measure is not None
    assert mine.measure.value > MANY
    assert not any(f"[{healthy.pid}]" in str(o.subject.process) for o in found)


@pytest.mark.usefixtures("_listing")
def test_a_namespace_without_a_process_is_found_with_who_holds_it(sampled: Sampled) -> None:
    with sandbox(CLONE_NEWNS) as alive, orphaned_namespace() as kept:
        living = os.stat(f"/proc/{alive.pid}/ns/mnt").st_ino  # noqa: PTH116
        sample = sampled()
        after = orphans(sample)

    found = after[kept.inode]
    assert found.who is not None
    assert f"[{os.getpid()}]" in str(found.who.process)
    assert found.descriptor == kept.descriptor
    assert living not in after


@pytest.mark.usefixtures("_listing")
def test_a_namespace_that_was_let_go_is_not_found_any_more(sampled: Sampled) -> None:
    with orphaned_namespace() as kept:
        assert kept.inode in orphans(sampled())

    assert kept.inode not in orphans(sampled())


@pytest.mark.usefixtures("_listing")
def test_a_namespace_with_only_a_thread_inside_is_not_without_a_process(sampled: Sampled) -> None:
    entered, end = threading.Event(), threading.Event()
    inodes: list[int] = []

    def inside() -> None:
        ctypes.CDLL(None).unshare(CLONE_NEWNS | CLONE_FS)
        inodes.append(os.stat("/proc/thread-self/ns/mnt").st_ino)  # noqa: PTH116
        entered.set()
        end.wait()

    thread = threading.Thread(target=inside)
    thread.start()
    try:
        assert entered.wait(60)
        sample = sampled()
    finally:
        end.set()
        thread.join()

    assert inodes[0] not in orphans(sample)
