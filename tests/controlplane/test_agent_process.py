"""The agent as a process of its own, on this kernel, with and without an API server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kernelhealth_agent.main import main
from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import sandbox
from kernelhealth_e2e.faults.veth import veth

DEFINITION = Path(__file__).parents[2] / "crds" / "nodekernelhealths.yaml"
PATIENCE = 60.0
LEAKED = "NetworkNamespaceLeaked"
EVENTS = 'kernelhealth_rounds_total{trigger="event"}'
CONDITION = 'conditions[?(@.type=="NetworkNamespacesHealthy")].status'


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid():
        pytest.skip("looks at every process and makes network namespaces: needs root")


@dataclass
class Agent:
    """A running agent; *metrics* is the URL of its numbers."""

    process: subprocess.Popen[str]
    run_dir: Path
    metrics: str

    def sample(self, name: str) -> float:
        with urllib.request.urlopen(self.metrics, timeout=30) as answer:  # noqa: S310
            lines = answer.read().decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return float(values.get(name, "nan"))

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait for something that only asking can tell."""
        deadline, pause = time.monotonic() + PATIENCE, threading.Event()
        while not true():
            assert self.process.poll() is None, "the agent has ended"
            assert time.monotonic() < deadline, f"in {PATIENCE} s there was no {what}"
            pause.wait(0.1)

    def looked(self) -> None:
        """Wait until it has made its first round."""
        name = 'kernelhealth_rounds_total{trigger="start"}'
        self.until(lambda: self.sample(name) == 1, "first round")

    def suspects(self) -> bool:
        return self.sample(f'kernelhealth_suspected{{reason="{LEAKED}"}}') >= 1


@contextmanager
def agent(run_dir: Path, **settings: str) -> Iterator[Agent]:
    """Run an agent that goes round once an hour, unless it is asked to."""
    environment = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONWARNINGS": "error",
        "KERNELHEALTH_RUN_DIR": str(run_dir),
        "KERNELHEALTH_METRICS_ADDRESS": "127.0.0.1",
        "KERNELHEALTH_METRICS_PORT": "0",
        "KERNELHEALTH_PERIOD": "1h",
        "KERNELHEALTH_FIRST_REPORT_SPREAD": "0s",
        **{f"KERNELHEALTH_{name.upper()}": value for name, value in settings.items()},
    }
    argv = [sys.executable, "-m", "kernelhealth_agent.main", "run"]
    with subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield Agent(process, run_dir, _metrics(process))
            process.send_signal(signal.SIGTERM)
            log = process.stderr.read()
            assert process.wait(PATIENCE) == 0, log
            assert "Traceback" not in log, log
        finally:
            process.kill()


def _metrics(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if "Agent was started" in line:
            address = line.split("metrics=")[1].split()[0]
            return f"http://{address}/metrics"
    raise AssertionError("the agent ended before it began")


@contextmanager
def leak() -> Iterator[None]:
    """A namespace whose process ends while a socket in flight keeps it."""
    with sandbox() as pod, veth(pod.pid), held_namespace.socket_in_flight(pod.file):
        pod.stop()
        yield


def test_a_leak_is_suspected_because_the_kernel_told_of_it(tmp_path: Path) -> None:
    with agent(tmp_path) as running:
        running.looked()

        with leak():
            running.until(
                lambda: running.sample(EVENTS) >= 1 and running.suspects(), "suspicion of the leak"
            )


def test_a_restarted_agent_goes_on_with_its_suspicion(tmp_path: Path) -> None:
    with leak():
        with agent(tmp_path) as first:
            first.until(first.suspects, "suspicion of the leak")
        before = json.loads((tmp_path / "state.json").read_text())
        # It is written after the state, and a round is counted before both.
        (tmp_path / "alive").unlink()
        with agent(tmp_path) as second:
            second.until((tmp_path / "alive").exists, "sign of life")
            after = json.loads((tmp_path / "state.json").read_text())

    name = "network_namespaces"
    old, new = (state["knowledge"]["watches"][name] for state in (before, after))
    # Whatever else of this machine was looked at may have gone meanwhile.
    both = old["sightings"].keys() & new["sightings"].keys()
    key = min(key for key in both if key.startswith(LEAKED))
    assert new["since"] == old["since"]
    assert new["sightings"][key]["first"] == old["sightings"][key]["first"]
    assert new["sightings"][key]["rounds"] > old["sightings"][key]["rounds"]


def test_the_probe_finds_a_running_agent_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNELHEALTH_RUN_DIR", str(tmp_path))
    with agent(tmp_path) as running:
        running.until((tmp_path / "alive").exists, "sign of life")

        assert main(["healthy"]) == 0


def test_an_agent_whose_port_is_taken_looks_at_the_node_all_the_same(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with agent(tmp_path, metrics_port=port) as running:
            running.until((tmp_path / "alive").exists, "sign of life")

    assert running.metrics == "http://none/metrics"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"PERIOD": "often"}, "KERNELHEALTH_PERIOD: "),
        ({"API_SERVER": "https://127.0.0.1:1"}, "KERNELHEALTH_NODE_NAME is not set"),
        ({"ROOT": "/no/such/host"}, "/no/such/host is no directory"),
        ({"ROOT": "/usr"}, "KERNELHEALTH_ROOT is /usr, where no /proc is mounted"),
    ],
    ids=["period", "node name", "root", "other root"],
)
def test_an_agent_that_cannot_start_says_why(
    tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    environment = {f"KERNELHEALTH_{name}": value for name, value in settings.items()}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "KERNELHEALTH_RUN_DIR": str(tmp_path)}
    argv = [sys.executable, "-m", "kernelhealth_agent.main", "run"]

    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


@dataclass
class Object:
    """The NodeKernelHealth object of one node, as an administrator sees it."""

    plane: ControlPlane
    name: str

    def apply(self, **spec: Any) -> None:
        body = {
            "apiVersion": "kernelhealth.io/v1alpha1",
            "kind": "NodeKernelHealth",
            "metadata": {"name": self.name},
            "spec": spec,
        }
        self.plane.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def await_status(self, path: str, value: str) -> None:
        self.plane.kubectl(
            "wait", f"nodekernelhealth/{self.name}", f"--for=jsonpath={{.status.{path}}}={value}",
            f"--timeout={PATIENCE}s", seconds=PATIENCE + 30,
        )  # fmt: skip

    def status(self) -> dict[str, Any]:
        found = json.loads(self.plane.kubectl("get", "nodekernelhealth", self.name, "-o", "json"))
        status = found["status"]
        assert isinstance(status, dict)
        return status


@pytest.fixture
def health(control_plane: ControlPlane) -> Iterator[Object]:
    control_plane.kubectl("apply", "-f", str(DEFINITION))
    control_plane.kubectl(
        "wait", "--for=condition=Established", "--timeout=60s",
        "crd/nodekernelhealths.kernelhealth.io",
    )  # fmt: skip
    made = Object(control_plane, f"node-{uuid.uuid4().hex[:8]}")
    yield made
    control_plane.kubectl("delete", "nodekernelhealth", made.name, "--ignore-not-found")


@pytest.fixture
def account(control_plane: ControlPlane, tmp_path: Path) -> Path:
    directory = tmp_path / "account"
    directory.mkdir()
    (directory / "token").write_text(control_plane.token)
    shutil.copy(control_plane.ca, directory / "ca.crt")
    return directory


def test_a_leak_is_suspected_confirmed_reported_and_cleared_by_itself(
    health: Object, account: Path, tmp_path: Path
) -> None:
    wanted = {"networkNamespaces": {"confirmAfter": "3s"}}
    health.apply(policy="workers", detectors=wanted)
    with agent(
        tmp_path / "run",
        node_name=health.name,
        api_server=health.plane.server,
        service_account=str(account),
    ) as running:
        health.await_status("policy", "workers")

        with leak():
            running.until(running.suspects, "suspicion of the leak")
            health.await_status(CONDITION, "False")
            sick = health.status()
        health.await_status(CONDITION, "True")

    assert sick["health"] in {"Warning", "Critical"}
    assert LEAKED in sick["problems"]
    assert sick["bootID"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert len(json.dumps(sick)) < 8192
