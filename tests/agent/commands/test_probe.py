from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernelhealth_agent import liveness
from kernelhealth_agent.main import main


def test_the_probe_believes_an_agent_that_gave_a_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNELHEALTH_RUN_DIR", str(tmp_path))
    before = main(["healthy"])
    liveness.touch(str(tmp_path))

    assert (before, main(["healthy"])) == (1, 0)


def test_the_probe_gives_up_on_an_agent_that_was_silent_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERNELHEALTH_RUN_DIR", str(tmp_path))
    (tmp_path / liveness.FILE).write_text("0.5\n")

    code = main(["healthy", "--minutes", "0.001"])

    assert code == 1
    assert "s ago" in capsys.readouterr().err


def test_the_probe_loads_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; from kernelhealth_agent.main import main; main(['healthy']);"
        "print(*{'pydantic', 'rich', 'urllib3', 'prometheus_client', 'yaml'} & set(sys.modules))"
    )
    environment = {"KERNELHEALTH_RUN_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}

    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )

    assert ended.stdout.split() == []


def test_the_running_agent_loads_nothing_that_it_does_not_need() -> None:
    program = (
        "import sys; import kernelhealth_agent.commands.run;"
        "print(*{'rich', 'yaml', 'kubernetes', 'pyroute2', 'aiohttp'} & set(sys.modules))"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}

    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )

    assert ended.stdout.split() == []
