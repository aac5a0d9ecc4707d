from __future__ import annotations

from pathlib import Path

import pytest

from kernelhealth_e2e.lab import pod_log
from kernelhealth_e2e.observing import NotSeenError, Observer


@pytest.fixture
def observer(tmp_path: Path) -> Observer:
    """What asks a program in kubectl's place, which prints a log and ends."""
    lines = ['{"event": "listens"}', "no event", '{"event": "ended", "connections": 2}']
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/log\n")
    program.chmod(0o755)
    return Observer(program, tmp_path / "kubeconfig")


def test_an_event_is_heard_among_other_lines(observer: Observer) -> None:
    told = pod_log.heard(observer, "shop", "client", "ended", 60)

    assert told["connections"] == 2


def test_a_log_that_ends_without_the_event_is_shown(observer: Observer) -> None:
    with pytest.raises(NotSeenError, match=r"did not tell `received`(.|\n)*no event"):
        pod_log.heard(observer, "shop", "client", "received", 60)


def test_only_events_of_a_log_are_named() -> None:
    log = '{"event": "listens"}\n[1]\n"event"\n{"a": 1}\n{"event": "reads"}\n'

    assert pod_log.events(log) == ["listens", "reads"]
