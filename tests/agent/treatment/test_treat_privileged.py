"""The command that does it: on this machine, with a leak made for it, by a fix that only writes."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from kernelhealth_agent import practice
from kernelhealth_agent.entries import Entry
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.journal import Journal
from kernelhealth_agent.main import main
from kernelhealth_agent.settings import Settings
from kernelhealth_api import cures
from kernelhealth_api.v1alpha1.request import RequestState
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
    entry = _entry(tmp_path)
    assert entry.ended is not None
    assert entry.ended.state is (RequestState.SUCCEEDED if works else RequestState.FAILED)
    assert entry.doing[0].startswith("scratch ")
    assert entry.begun is not None
    assert (
        entry.begun.request.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    )


def test_what_was_done_by_hand_is_visible_to_the_agent_and_after_the_next_reboot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fix = replace(_scratching(tmp_path, works=True), survives=True)
    monkeypatch.setattr("kernelhealth_agent.practice.every", lambda: {fix.name: fix})
    monkeypatch.setenv("KERNELHEALTH_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("KERNELHEALTH_KEPT_DIR", str(tmp_path / "kept"))
    with sandbox() as pod, veth(pod.pid), held_namespace.socket_in_flight(pod.file):
        pod.stop()
        code = main(["treat", fix.name, "--yes", "--confirm-after", "0s"])
    capsys.readouterr()
    entry = _entry(tmp_path)
    assert entry.begun is not None
    boot = entry.begun.request.boot_id

    agents = practice.opened(Settings(), LiveHost("/"), boot, lambda _: None)
    later = practice.opened(Settings(), LiveHost("/"), "the next boot", lambda _: None)

    assert code == 0
    assert agents.recalled() == entry.ended
    assert agents.recorded(entry.begun.request) == entry.ended
    (survived,) = later.survivors()
    assert survived.endswith(f"survived the reboot: request={entry.id}")


@pytest.mark.parametrize("argv", [["--dry-run"], []], ids=["asked for", "by default"])
def test_what_is_only_shown_leaves_no_entry(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
) -> None:
    fix = _scratching(tmp_path, works=True)
    monkeypatch.setattr("kernelhealth_agent.practice.every", lambda: {fix.name: fix})
    monkeypatch.setenv("KERNELHEALTH_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("KERNELHEALTH_KEPT_DIR", str(tmp_path / "kept"))

    with sandbox() as pod, veth(pod.pid), held_namespace.socket_in_flight(pod.file):
        pod.stop()
        code = main(["treat", fix.name, "--confirm-after", "0s", *argv])

    assert code == 1
    assert "scratch once 1" in capsys.readouterr().out
    assert not (tmp_path / "run/requests").exists()
    assert not (tmp_path / "kept").exists()


def _entry(directory: Path) -> Entry:
    """Return the one entry that the command has left in the journal."""
    (name,) = [file.name for file in (directory / "run/requests").iterdir() if file.name[0] != "."]
    assert name.startswith("by-hand-")
    found = Journal(directory / "run/requests").entry(name)
    assert found is not None
    return found


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
