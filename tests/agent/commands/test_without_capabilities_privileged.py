"""The agent with no capability at all, as in a pod that somebody forgot to make privileged."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_PR_CAPBSET_DROP = 24
_CAPABILITIES = 41


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid():
        pytest.skip("only root has capabilities to take away")


def _drop() -> None:
    """Leave nothing that execve(2) could give to a program of root."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(_CAPABILITIES):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def test_a_scan_says_which_capabilities_are_missing_and_what_it_cannot_see(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "kernelhealth_agent.main", "scan", "--output", "json"]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)}
    with subprocess.Popen(["sleep", "infinity"], user=65534) as other:
        try:
            ended = subprocess.run(
                argv,
                env=environment,
                preexec_fn=_drop,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            other.kill()

    status = json.loads(ended.stdout)
    assert ended.returncode == 2
    assert status["health"] == "Unknown"
    assert {c["status"] for c in status["conditions"]} == {"Unknown"}
    assert {c["reason"] for c in status["conditions"]} == {"Forbidden"}
    assert all("CAP_SYS_PTRACE" in c["message"] for c in status["conditions"])
    assert "the agent lacks CAP_SYS_ADMIN: it cannot look inside" in ended.stderr
