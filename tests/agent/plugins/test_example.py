from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kernelhealth_agent import plugin_files
from kernelhealth_agent.commands import run
from kernelhealth_agent.hosts import scripts
from kernelhealth_agent.hosts.running import Ending, Running, Script
from kernelhealth_agent.settings import Settings

OVERLAY = Path(__file__).parents[3] / "manifests/overlays/plugins"
PROGRAM = OVERLAY / "check-inodes.sh"


def checked(*arguments: str) -> Ending:
    """Run the program of the example."""
    environment = {"PATH": "/usr/bin:/bin", "KERNELHEALTH_ROOT": "/"}
    begun = scripts.started(Script(str(PROGRAM), arguments, 60.0), environment)
    assert isinstance(begun, Running)
    ending = begun.finished(lambda: False)
    begun.reaped()
    return ending


def test_the_files_of_the_example_are_all_in_its_config_map_and_can_be_used() -> None:
    listed = yaml.safe_load((OVERLAY / "kustomization.yaml").read_text())
    (made,) = listed["configMapGenerator"]

    files = {path.name for path in OVERLAY.iterdir()} - {"kustomization.yaml"}
    (rule,) = plugin_files.parsed((OVERLAY / "inodes.json").read_bytes()).rules

    assert set(made["files"]) == files
    assert rule.path == f"/plugins/{PROGRAM.name}"
    assert os.access(PROGRAM, os.X_OK)


@pytest.mark.parametrize(("percent", "status"), [("101", 0), ("0", 1)])
def test_its_program_tells_how_many_inodes_are_in_use(
    tmp_path: Path, percent: str, status: int
) -> None:
    ending = checked(str(tmp_path), percent)

    counted = "% of the inodes of" in ending.output
    # Not every filesystem counts inodes; then it says that it does not know.
    assert ending.status == (status if counted else 2)


def test_its_program_does_not_know_of_what_is_not_there() -> None:
    assert checked("none/such", "90") == Ending(
        2, "the file system of /none/such does not count inodes"
    )


def test_the_agent_takes_the_plugins_of_its_settings(
    file: Callable[..., Path],
    folder: Path,
    script: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file({"type": "temporary", "reason": "ClockJumped", "path": script("exit 0")})
    monkeypatch.setenv("KERNELHEALTH_PLUGIN_DIR", str(folder))

    plugged = run._plugged(Settings())

    assert [detector.condition for _, detector in plugged.pairs] == ["ClockMonitorHealthy"]


def test_the_agent_has_no_plugins_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERNELHEALTH_PLUGIN_DIR", raising=False)

    assert run._plugged(Settings()).pairs == ()
