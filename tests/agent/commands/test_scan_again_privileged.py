from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from kernelhealth_agent.main import main

SCAN = [sys.executable, "-m", "kernelhealth_agent.main", "scan", "--detector", "gssproxy"]


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid():
        pytest.skip("looks at this machine: needs root")


def test_watching_prints_an_object_a_line_until_it_is_interrupted() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [*SCAN, "--watch", "1s", "--output", "json"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as scan:
        assert scan.stdout is not None
        reports = [json.loads(scan.stdout.readline()) for _ in range(3)]
        scan.send_signal(signal.SIGINT)
        code = scan.wait(60)

    assert code == 0
    assert [report["health"] for report in reports] == ["Healthy"] * 3


def test_the_view_by_pod_is_whole_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    code = main([*SCAN[3:], "--by", "pod", "--output", "json"])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["pods"] == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--watch", "soon"], "soon"),
        (["--watch", "0s"], "--watch must be 1s or longer"),
        (["--watch", "--root", "tests/fixtures/hosts/gssproxy-healthy"], "leave it out"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*SCAN[3:], *arguments])

    assert code == 2
    assert why in capsys.readouterr().err
