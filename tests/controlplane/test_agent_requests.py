"""An agent's process that is asked for things through a real API server, and killed meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kernelhealth_e2e.controlplane import ControlPlane

DEFINITION = Path(__file__).parents[2] / "crds" / "nodekernelhealths.yaml"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid():
        pytest.skip("an agent looks at every process: needs root")


@dataclass
class Node:
    """The NodeKernelHealth of one node, its operator by hand, and where its agent lives."""

    plane: ControlPlane
    name: str
    directory: Path

    def ask(self, request_id: str, action: dict[str, Any], **parts: str) -> None:
        deadline = datetime.now(UTC) + timedelta(minutes=5)
        wanted = {
            "id": request_id,
            "action": action,
            "bootID": BOOT_ID,
            "deadline": f"{deadline:%Y-%m-%dT%H:%M:%SZ}",
        }
        self.apply(request={**wanted, **parts})

    def apply(self, **spec: Any) -> None:
        body = {
            "apiVersion": "kernelhealth.io/v1alpha1",
            "kind": "NodeKernelHealth",
            "metadata": {"name": self.name},
            "spec": spec,
        }
        self.plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(body))

    def answered(self, request_id: str, state: str) -> str:
        """Wait for that answer to that request and return its sentence."""
        for path, value in (("id", request_id), ("state", state)):
            self.plane.kubectl(
                "wait", f"nodekernelhealth/{self.name}",
                f"--for=jsonpath={{.status.request.{path}}}={value}",
                f"--timeout={PATIENCE}s", seconds=PATIENCE + 30,
            )  # fmt: skip
        found = json.loads(self.plane.kubectl("get", "nodekernelhealth", self.name, "-o", "json"))
        message = found["status"]["request"]["message"]
        assert isinstance(message, str)
        assert len(json.dumps(found["status"])) < 4096
        return message

    @contextmanager
    def agent(self, end: signal.Signals = signal.SIGTERM, **settings: str) -> Iterator[None]:
        """Run the node's agent, and end it by that signal."""
        environment = {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYTHONWARNINGS": "error",
            "KERNELHEALTH_RUN_DIR": str(self.directory / "run"),
            "KERNELHEALTH_KEPT_DIR": str(self.directory / "kept"),
            "KERNELHEALTH_METRICS_ADDRESS": "127.0.0.1",
            "KERNELHEALTH_METRICS_PORT": "0",
            "KERNELHEALTH_PERIOD": "1h",
            "KERNELHEALTH_FIRST_REPORT_SPREAD": "0s",
            "KERNELHEALTH_HANDS": "refuse-host-wide",
            "KERNELHEALTH_NODE_NAME": self.name,
            "KERNELHEALTH_API_SERVER": self.plane.server,
            "KERNELHEALTH_SERVICE_ACCOUNT": str(self.directory / "account"),
            **{f"KERNELHEALTH_{name.upper()}": value for name, value in settings.items()},
        }
        argv = [sys.executable, "-m", "kernelhealth_agent.main", "run"]
        log = self.directory / f"log-{uuid.uuid4().hex[:4]}"
        with log.open("w") as said, subprocess.Popen(argv, env=environment, stderr=said) as running:
            try:
                yield
                running.send_signal(end)
                running.wait(PATIENCE)
            finally:
                running.kill()
        assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture
def node(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Node]:
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text(control_plane.token)
    shutil.copy(control_plane.ca, account / "ca.crt")
    control_plane.kubectl("apply", "-f", str(DEFINITION))
    control_plane.kubectl(
        "wait", "--for=condition=Established", "--timeout=60s",
        "crd/nodekernelhealths.kernelhealth.io",
    )  # fmt: skip
    made = Node(control_plane, f"node-{uuid.uuid4().hex[:8]}", tmp_path)
    made.apply(policy="workers")
    yield made
    control_plane.kubectl("delete", "nodekernelhealth", made.name, "--ignore-not-found")


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[list[str]]:
    """What a host's own way to reboot was told, line by line; it says ok."""
    asked: list[str] = []
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "hook"))
    listening.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                asked.append(stream.readline().decode())
                stream.write(b"ok\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield asked
    listening.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE)
    listening.close()


REBOOT = {"reboot": {"method": "Clean"}}


def test_a_reboot_is_asked_for_once_though_the_agent_is_killed_and_started_again(
    node: Node, hook: list[str], tmp_path: Path
) -> None:
    socket_path = str(tmp_path / "hook")
    with node.agent(signal.SIGKILL, reboot_hook=socket_path):
        node.ask("nr-1-5", REBOOT)
        first = node.answered("nr-1-5", "Running")

    with node.agent(reboot_hook=socket_path):
        node.ask("nr-1-6", REBOOT)
        second = node.answered("nr-1-6", "Refused")

    assert hook == [f"reboot {BOOT_ID} nr-1-5\n"]
    assert "was asked for" in first
    assert "there is only one" in second


def test_what_a_restarted_agent_had_answered_stays_in_the_report(node: Node) -> None:
    with node.agent(signal.SIGKILL):
        node.ask("nr-1-5", REBOOT)
        first = node.answered("nr-1-5", "Refused")
    node.plane.kubectl(
        "patch", "nodekernelhealth", node.name, "--subresource=status", "--type=merge",
        "-p", '{"status":{"request":null}}',
    )  # fmt: skip

    node.apply(policy="workers")
    with node.agent():
        again = node.answered("nr-1-5", "Refused")

    assert first == again
    assert "KERNELHEALTH_HANDS=refuse-host-wide forbids" in again


def test_a_request_for_an_earlier_boot_or_too_late_is_refused(node: Node) -> None:
    with node.agent():
        node.ask("nr-1-1", REBOOT, bootID="earlier")
        earlier = node.answered("nr-1-1", "Refused")
        node.ask("nr-1-2", REBOOT, deadline="2026-01-01T00:00:00Z")
        late = node.answered("nr-1-2", "Refused")

    assert "the node has booted since" in earlier
    assert "by this node's clock" in late


def test_nothing_is_done_that_the_agent_has_not_found_itself(node: Node) -> None:
    fixing = {"fix": "UnmountNamespace", "reasons": ["NetworkNamespaceLeaked"]}
    with node.agent():
        node.ask("nr-1-3", {"reclaim": fixing})
        said = node.answered("nr-1-3", "Refused")

    assert "UnmountNamespace" in said
