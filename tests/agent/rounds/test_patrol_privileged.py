"""What the kernel tells, and the patrol that listens to it."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, Self

import pytest

from kernelhealth_agent import attribution, moments, state
from kernelhealth_agent.examination import Knowledge, Outcome
from kernelhealth_agent.hosts.events import KernelEvents
from kernelhealth_agent.patrol import Equipment, Patrol
from kernelhealth_agent.survey import Surveyor
from kernelhealth_e2e.faults.namespace import sandbox
from kernelhealth_e2e.faults.veth import veth

PATIENCE = 60.0


class Node(Protocol):
    root: Path
    examiner: Any
    deadline: float
    has: Callable[..., None]
    restart: Callable[[], None]


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid():
        pytest.skip("makes links and mounts: needs root")


@pytest.fixture
def events() -> Iterator[KernelEvents]:
    with KernelEvents("/") as opened:
        yield opened


class Walk:
    """A patrol in a thread of its own, and what it has found so far."""

    def __init__(self, node: Node, events: KernelEvents, directory: Path) -> None:
        self.heard: list[tuple[str, Outcome]] = []
        self._changed = threading.Condition()
        surveyor = Surveyor(attribution.Places(), 600.0)
        equipment = Equipment(node.examiner, surveyor, events, moments.now, directory, 3600.0)
        known = state.State(boot_id="boot-1", knowledge=Knowledge())
        self.patrol = Patrol(equipment, known, [self._hear])
        self._thread = threading.Thread(target=self.patrol.run)

    def _hear(self, outcome: Outcome, trigger: str) -> None:
        with self._changed:
            self.heard.append((trigger, outcome))
            self._changed.notify_all()

    def until(self, true: Callable[[str, Outcome], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: any(true(*pair) for pair in self.heard), PATIENCE)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.patrol.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def test_a_link_that_comes_is_told(events: KernelEvents) -> None:
    with sandbox() as pod, veth(pod.pid):
        assert events.wait(PATIENCE)


def test_a_mount_that_goes_is_told(events: KernelEvents, tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path], check=True)
    try:
        told = events.wait(PATIENCE)
    finally:
        subprocess.run(["umount", tmp_path], check=True)

    assert told
    assert events.wait(PATIENCE)


def test_messages_that_were_lost_are_news_too(events: KernelEvents) -> None:
    with sandbox() as pod:
        for _ in range(200):
            with veth(pod.pid):
                pass

    assert events.wait(PATIENCE)


def test_whoever_waits_can_be_woken(events: KernelEvents) -> None:
    waiting = threading.Thread(target=events.wait, args=(24 * 3600.0,), daemon=True)
    waiting.start()

    events.wake()

    waiting.join(PATIENCE)
    assert not waiting.is_alive()


def test_a_new_link_asks_for_a_round(node: Node, events: KernelEvents, tmp_path: Path) -> None:
    with Walk(node, events, tmp_path) as walk:
        walk.until(lambda trigger, _: trigger == "start")
        node.has(traps="x")
        with sandbox() as pod, veth(pod.pid):
            walk.until(lambda trigger, o: trigger == "event" and o.status.health == "Warning")


def test_a_suspicion_is_looked_at_again_when_it_is_due(
    node: Node, events: KernelEvents, tmp_path: Path
) -> None:
    node.has(leaks="a")
    with Walk(node, events, tmp_path) as walk:
        walk.patrol.adopt({"policy": "p", "detectors": {"leaks": {"confirmAfter": "2s"}}})

        # Anything on the machine may make an event, and its round confirms what is due by then.
        walk.until(lambda _, o: len(o.findings) == 1)

    assert not walk.heard[0][1].findings
    assert walk.heard[-1][1].status.policy == "p"
    assert state.load(tmp_path, "boot-1").spec["policy"] == "p"


def test_a_round_that_hangs_does_not_hold_up_the_end(
    node: Node, events: KernelEvents, tmp_path: Path
) -> None:
    node.deadline = 3600.0
    node.restart()
    (node.root / "leaks").unlink()
    os.mkfifo(node.root / "leaks")
    try:
        with Walk(node, events, tmp_path) as walk:
            pass
    finally:
        os.close(os.open(node.root / "leaks", os.O_RDWR))

    assert walk.heard == []
