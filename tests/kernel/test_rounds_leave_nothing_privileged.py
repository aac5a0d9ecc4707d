"""Round after round of all detectors on this machine, and what is left of them: nothing."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kernelhealth_agent import catalogue, looking, moments, thresholds
from kernelhealth_agent.attribution import Places
from kernelhealth_agent.examination import Examiner, Knowledge
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.survey import Effort, Surveyor
from kernelhealth_e2e.faults.namespace import sandbox
from kernelhealth_e2e.faults.veth import veth

PATIENCE = 120.0
ROUNDS = 8
MOST_GROWTH = 1 << 20
"""Bytes; what is remembered of trends grows for hours, slowly."""


@dataclass
class Walk:
    """Makes rounds, a quarter of an hour after one another, so that every source looks anew."""

    surveyor: Surveyor
    examiner: Examiner
    strangers: frozenset[int]
    moment: Moment = field(default_factory=moments.now)
    knowledge: Knowledge = field(default_factory=Knowledge)

    def go(self, rounds: int) -> None:
        chosen = thresholds.in_force(self.examiner.rounds.detectors, {})
        for number in range(rounds):
            self.surveyor.effort = list(Effort)[number % len(Effort)]
            outcome = self.examiner.examine(self.knowledge, chosen, self.moment)
            self.knowledge = outcome.knowledge
            self.moment = self.moment.after(900.0)

    def childless(self) -> bool:
        """Go on until no child is left: one that is slow is waited for by later rounds."""
        end = time.monotonic() + PATIENCE
        while children() - self.strangers and time.monotonic() < end:
            threading.Event().wait(0.5)
            self.go(1)
        return not children() - self.strangers


@pytest.fixture
def walk(live: LiveHost, tmp_path: Path) -> Iterator[Walk]:
    """Everything that a round has was there once; one pod is there to be looked at."""
    surveyor = Surveyor(Places(str(tmp_path).lstrip("/"), "nowhere"), 600.0)
    examiner = looking.examiner(live, catalogue.every(), surveyor, PATIENCE)
    with sandbox() as pod, veth(pod.pid):
        made = Walk(surveyor, examiner, frozenset(children()))
        made.go(ROUNDS)
        made.childless()
        yield made


def children() -> set[int]:
    """A thread may end after it was listed: then it has none."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.update(map(int, (task / "children").read_text().split()))
    return found


def descriptors() -> list[str]:
    return [path.name for path in Path("/proc/self/fd").iterdir()]


def test_no_descriptor_thread_or_child_is_left(walk: Walk) -> None:
    opened, threads = len(descriptors()), set(threading.enumerate())

    walk.go(ROUNDS)

    assert walk.childless()
    for thread in set(threading.enumerate()) - threads:
        thread.join(PATIENCE)
    assert len(descriptors()) <= opened
    assert set(threading.enumerate()) <= threads
    assert walk.examiner.rounds.workers.outstanding == ()


def test_memory_does_not_grow(walk: Walk) -> None:
    tracemalloc.start()
    try:
        walk.go(ROUNDS)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        walk.go(ROUNDS)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < MOST_GROWTH
