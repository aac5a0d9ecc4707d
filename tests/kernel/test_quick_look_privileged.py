"""Quick looks at this machine, beside full ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernelhealth_agent import inventory
from kernelhealth_agent.attribution import Places
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace, Remembered
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.survey import Effort, Surveyor
from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import Sandbox, sandbox
from kernelhealth_e2e.faults.veth import veth

Glance = Callable[[], Inventory]
LOOKS = 10
"""Before a look is thorough again, by the surveyor's ten minutes."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def surveyor() -> Surveyor:
    return Surveyor(Places("nowhere", "nowhere"), 600.0)


@pytest.fixture
def glance(live: LiveHost, surveyor: Surveyor) -> Glance:
    """Look quickly; what is there from the start is known."""
    memory: dict[int, Remembered] = {}
    uptime = 1000.0

    def looked() -> Inventory:
        nonlocal memory, uptime
        uptime += 30.0
        seen = surveyor(live, Moment(NOW, uptime), memory)
        surveyor.effort = Effort.QUICK
        memory = inventory.remember(seen)
        return seen

    looked()
    return looked


def looked(glance: Glance, good: Callable[[Inventory], bool]) -> Inventory:
    """Look until what is seen is *good*, some times at the most: others are in it for a moment."""
    seen = glance()
    for _ in range(LOOKS):
        if good(seen):
            break
        seen = glance()
    return seen


def alone(seen: Namespace, pod: Sandbox) -> Namespace:
    """Leave out who else is in it or has it open: another look at this machine, for a moment."""
    pids = tuple(pid for pid in seen.pids if pid == pod.pid)
    return replace(seen, processes=len(pids), pids=pids, descriptors=())


def test_a_namespace_that_comes_and_goes_is_followed(glance: Glance) -> None:
    with sandbox() as pod, veth(pod.pid):
        come = glance().namespaces[pod.inode]
        still = glance().namespaces[pod.inode]
    gone = looked(glance, lambda seen: pod.inode not in seen.namespaces)

    assert alone(come, pod) == alone(still, pod)
    assert pod.pid in come.pids
    assert come.nsid is not None
    assert pod.inode not in gone.namespaces


def test_a_thread_that_is_elsewhere_is_followed_until_it_ends(
    glance: Glance, surveyor: Surveyor
) -> None:
    there, end = threading.Event(), threading.Event()
    with sandbox() as pod:
        with held_namespace.inside(pod.file):
            home = Path("/proc/thread-self/ns/net").readlink()

        def stay() -> None:
            with held_namespace.inside(pod.file):
                there.set()
                end.wait()

        thread = threading.Thread(target=stay)
        thread.start()
        try:
            assert there.wait(60)
            surveyor.effort = Effort.FULL
            before = glance().namespaces[pod.inode]
            during = glance().namespaces[pod.inode]
        finally:
            end.set()
            thread.join()
        after = glance().namespaces[pod.inode]

    assert str(pod.inode) in str(home)
    assert thread.native_id is not None
    assert {pod.pid, thread.native_id} <= {*before.pids} & {*during.pids}
    assert pod.pid in after.pids
    assert thread.native_id not in after.pids


def test_a_namespace_that_only_an_open_descriptor_keeps_is_not_called_lost(
    glance: Glance, surveyor: Surveyor
) -> None:
    with sandbox() as pod, veth(pod.pid), held_namespace.descriptor(pod.file), sandbox() as heir:
        known = glance().namespaces[pod.inode]
        pod.stop()
        asked = looked(glance, lambda _: surveyor.full)
        full = surveyor.full
        later = glance()

    assert full
    assert heir.pid in {pid for pid, *_ in asked.namespaces[pod.inode].descriptors}
    assert later.namespaces[pod.inode].nsid == known.nsid
    assert known.nsid not in asked.unreachable | later.unreachable
