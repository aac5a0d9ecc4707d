"""The command that does it: on this machine, with a leak made for it, by a fix that only writes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.main import main
from kernelhealth_api import cures
from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import sandbox
from kernelhealth_e2e.faults.veth import veth
from kernelhealth_e2e.treatment.ward import Scratch


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid():
        pytest.skip("makes a network namespace and looks at every process: needs root")


@pytest.mark.parametrize("works", [True, False], ids=["a fix that helps", "a fix that does not"])
def test_with_yes_it_is_done_and_looked_at_whether_it_helped(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    works: bool,  # noqa: FBT001
) -> None:
    """The deeds only write below the test's directory, whatever else is wrong with the machine."""
    fix = _scratching(tmp_path, works=works)
    monkeypatch.setattr("kernelhealth_agent.practice.every", lambda: {fix.name: fix})
    monkeypatch.setenv("KERNELHEALTH_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("KERNELHEALTH_KEPT_DIR", str(tmp_path / "kept"))

    with sandbox() as pod, veth(pod.pid), held_namespace.socket_in_flight(pod.file):
        pod.stop()
        code = main(["treat", fix.name, "--yes", "--confirm-after", "0s", "--output", "json"])

    said = capsys.readouterr()
    found = json.loads(said.out)
    results = {each["result"] for each in found["treatments"]}
    assert found["done"] is True
    assert results == ({"done"} if works else {"failed"})
    assert code == (0 if works else 1)
    assert "doing: scratch " in said.err
    assert list(tmp_path.glob("done-*"))


def _scratching(directory: Path, *, works: bool) -> Fix:
    def aims(observations: object) -> list[Aim]:
        return [Aim("once", o.message, o) for o in list(observations)[:1]]  # type: ignore[call-overload]

    def deeds(_: Host, aim: Aim) -> list[Scratch]:
        return [Scratch(directory, aim.key)]

    def deed_fails(_: Host, aim: Aim) -> list[Scratch]:
        return [Scratch(directory, aim.key), Scratch(directory / "nowhere", aim.key)]

    return Fix(
        "Reboot",
        cures.Stage.REBOOT,
        aims,
        lambda _host, _aim: "",
        deeds if works else deed_fails,
        lambda _host, aim: (directory / f"done-{aim.key}").exists(),
    )
