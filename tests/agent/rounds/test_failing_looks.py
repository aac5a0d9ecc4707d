from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from kernelhealth_agent.examination import Knowledge, Outcome
from kernelhealth_api.v1alpha1.resource import Condition

HANGS = 2.0
"""After so many seconds a read is given up; what does not hang is done by then, also under load."""


class Node(Protocol):
    root: Path
    deadline: float
    knowledge: Knowledge
    wanted: dict[str, object]
    examiner: Any
    has: Callable[..., None]
    look: Callable[..., Outcome]
    restart: Callable[[], None]


def condition(outcome: Outcome, kind: str) -> Condition:
    return next(c for c in outcome.status.conditions if c.type == kind)


@contextmanager
def hanging(path: Path) -> Iterator[None]:
    """A file whose reading never ends, until the test does."""
    path.unlink()
    os.mkfifo(path)
    try:
        yield
    finally:
        # A writer that comes and goes is the end of the file for whoever waits for one.
        os.close(os.open(path, os.O_RDWR))
        for thread in threading.enumerate():
            if thread.name == f"look at {path.name}":
                thread.join(60)
        path.unlink()


def test_a_look_that_failed_neither_confirms_nor_forgets(node: Node) -> None:
    node.has(leaks="a")
    node.look()
    node.has(leaks="garbage")
    failed = node.look(130)
    node.has(leaks="a")

    after = node.look(1)

    assert condition(failed, "LeaksHealthy").status == "Unknown"
    assert failed.status.findings == ()
    assert failed.status.health == "Unknown"
    assert after.status.findings[0].since == node.knowledge.watches["leaks"].since.wall


def test_garbage_makes_one_detector_unknown_and_names_the_file(node: Node) -> None:
    node.has(leaks="garbage", traps="x")

    outcome = node.look()

    leaks = condition(outcome, "LeaksHealthy")
    assert (leaks.status, leaks.reason) == ("Unknown", "ReadFailed")
    assert leaks.message == "leaks:1 cannot be understood: it is garbage"
    assert condition(outcome, "TrapsHealthy").status == "False"


def test_what_the_host_does_not_have_is_not_available_and_does_not_worry(node: Node) -> None:
    (node.root / "traps").unlink()

    outcome = node.look()

    traps = condition(outcome, "TrapsHealthy")
    assert (traps.status, traps.reason) == ("Unknown", "NotAvailable")
    assert outcome.status.health == "Healthy"


def test_a_host_that_has_nothing_at_all_is_not_called_healthy(node: Node) -> None:
    (node.root / "traps").unlink()
    (node.root / "leaks").unlink()

    assert node.look().status.health == "Unknown"


def test_an_inventory_that_cannot_be_taken_makes_every_condition_unknown(node: Node) -> None:
    (node.root / "proc/sys/kernel/random/boot_id").unlink()

    outcome = node.look()

    assert {c.status for c in outcome.status.conditions} == {"Unknown"}
    assert "boot_id" in outcome.status.conditions[0].message


def test_a_defect_stops_one_detector_and_is_logged_once(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.has(leaks="defect", traps="x")

    with caplog.at_level(logging.ERROR):
        outcome = node.look()
        node.look(60)

    leaks = condition(outcome, "LeaksHealthy")
    assert (leaks.status, leaks.reason) == ("Unknown", "InternalError")
    assert "RuntimeError: nobody thought of that" in leaks.message
    assert condition(outcome, "TrapsHealthy").status == "False"
    assert len([r for r in caplog.records if r.exc_info]) == 1


def test_a_read_that_hangs_is_given_up_and_named_while_others_go_on(node: Node) -> None:
    node.has(traps="x")
    node.deadline = HANGS
    node.restart()
    with hanging(node.root / "leaks"):
        first = node.look()
        second = node.look(60)

        leaks = condition(first, "LeaksHealthy")
        assert (leaks.status, leaks.reason) == ("Unknown", "TimedOut")
        assert leaks.message.startswith("leaks did not answer within")
        assert condition(first, "TrapsHealthy").status == "False"
        assert condition(second, "LeaksHealthy").reason == "TimedOut"
        assert node.examiner.rounds.workers.abandoned == 1


def test_a_read_that_came_back_late_is_made_again_in_the_next_round(node: Node) -> None:
    node.deadline = HANGS
    node.restart()
    with hanging(node.root / "leaks"):
        node.look()
    node.has(leaks="a")

    outcome = node.look(60)

    assert condition(outcome, "LeaksHealthy").reason == "Suspected"
    assert node.examiner.rounds.workers.outstanding == ()
