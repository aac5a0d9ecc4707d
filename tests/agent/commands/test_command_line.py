from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from kernelhealth_agent import moments, thresholds
from kernelhealth_agent.arguments import version
from kernelhealth_agent.commands import scan
from kernelhealth_agent.examination import Knowledge, Outcome
from kernelhealth_agent.main import main
from kernelhealth_api.v1alpha1.nodekernelhealth import NodeKernelHealthStatus

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
SICK, SOUND = HOSTS / "gssproxy-pinned", HOSTS / "gssproxy-healthy"
NOTED = HOSTS / "gssproxy-configured"


class Node(Protocol):
    examiner: Any
    has: Callable[..., None]
    look: Callable[..., Outcome]


def test_a_scan_of_a_sound_host_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["scan", "--root", str(SOUND)])

    assert code == 0
    assert capsys.readouterr().out.startswith("Kernel health: Healthy")


def test_a_scan_of_a_sick_host_ends_with_1_and_names_what_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["scan", "--root", str(SICK), "--detector", "gssproxy"])

    assert code == 1
    assert "NamespacePinnedByGssProxy" in capsys.readouterr().out


def test_notes_alone_are_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["scan", "--root", str(NOTED), "--detector", "gssproxy"])

    assert code == 0
    assert "Info" in capsys.readouterr().out


def test_json_has_the_fields_of_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["scan", "--root", str(SICK), "--output", "json"])

    body = json.loads(capsys.readouterr().out)
    known = {field.alias for field in NodeKernelHealthStatus.model_fields.values()}
    assert code == 1
    assert set(body) <= known
    assert body["health"] == "Warning"
    assert NodeKernelHealthStatus.model_validate(body).findings


def test_garbage_on_the_host_ends_with_2_and_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "netlink").mkdir()
    (tmp_path / "netlink/nsids.hex").write_text("zz\n")

    code = main(["scan", "--root", str(tmp_path)])

    assert code == 2
    assert "netlink/nsids.hex" in "".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scan", "--root", "/no/such/directory"], "/no/such/directory is no directory"),
        (["scan", "--detector", "gremlins"], "there is no detector 'gremlins'"),
        (["scan", "--confirm-after", "soon"], "'soon' is not a duration"),
        (["bench", "--detector", "gremlins"], "there is no detector 'gremlins'"),
        (["capture", "gremlins", "--to", "nowhere"], "there is no detector 'gremlins'"),
    ],
)
def test_what_cannot_be_done_is_said_and_ends_with_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(arguments)

    assert code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], ["dance"], ["scan", "--output", "xml"], ["bench", "--rounds", "0"], ["capture", "x"]],
    ids=["nothing", "unknown command", "unknown format", "no rounds", "no target"],
)
def test_bad_usage_ends_with_2_and_a_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "--help" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "scan", "bench", "capture", "healthy"])
def test_help_has_an_example_and_the_exit_codes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"examples:\n  kernelhealth-agent {command}" in text
    assert "exit codes: 0" in text


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == version()


def test_two_looks_at_a_recording_take_no_time(node: Node) -> None:
    node.has(leaks="a")
    chosen = thresholds.in_force(node.examiner.rounds.detectors, {})

    outcome = scan.looked(node.examiner, chosen, Knowledge(), moments.now(), wait=None)

    assert [f.reason for f in outcome.status.findings] == ["ThingLeaked"]


@pytest.mark.parametrize(
    ("leaks", "traps", "code"),
    [("", "", 0), ("", "x", 1), ("garbage", "", 2), ("garbage", "x", 2), (None, "", 0),
     (None, None, 2), (None, "x", 1)],
)  # fmt: skip
def test_the_exit_code_says_how_the_look_went(
    node: Node, tmp_path: Path, leaks: str | None, traps: str | None, code: int
) -> None:
    node.has(leaks=leaks or "", traps=traps or "")
    for name, content in (("leaks", leaks), ("traps", traps)):
        if content is None:
            (tmp_path / "host" / name).unlink()

    assert scan.exit_code(node.look()) == code


def test_bench_measures_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "--rounds", "2", "--output", "json"])

    figures = json.loads(capsys.readouterr().out)
    assert figures["rounds"] == 2
    assert figures["seconds"] > 0
    assert figures["maxRssBytes"] > 1 << 20
    assert {"cpuSeconds", "sizes", "detectors"} <= set(figures)


def test_colours_and_a_reader_that_leaves_early_do_no_harm() -> None:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-m", "kernelhealth_agent.main", "scan", "--root", str(SICK)]
    with subprocess.Popen(
        argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        complaint = process.stderr.read()

    assert complaint == ""


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["bench", "--rounds", "x"], "must be a whole number, 1 or more"),
        (["bench", "--rounds", "0"], "must be a whole number, 1 or more"),
        (["healthy", "--minutes", "nan"], "must be a number of minutes such as 5 or 0.5"),
        (["healthy", "--minutes", "-1"], "must be a number of minutes such as 5 or 0.5"),
    ],
)
def test_a_wrong_number_is_refused_with_what_to_write_instead(
    asked: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(asked)

    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
