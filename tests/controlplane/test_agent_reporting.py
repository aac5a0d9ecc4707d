"""The agent's deliveries and its watch against a real API server."""

from __future__ import annotations

import json
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kernelhealth_agent.apiserver import ApiServer, RefusedError, UnreachableError
from kernelhealth_agent.delivery import Delivery, outbox
from kernelhealth_agent.report import wire
from kernelhealth_agent.watching import Watching
from kernelhealth_api.v1alpha1.finding import Finding, Severity, Subject
from kernelhealth_api.v1alpha1.nodekernelhealth import Health, NodeKernelHealthStatus
from kernelhealth_api.v1alpha1.resource import Condition
from kernelhealth_e2e import certificates
from kernelhealth_e2e.controlplane import ControlPlane, Settings

DEFINITION = Path(__file__).parents[2] / "crds" / "nodekernelhealths.yaml"
PATIENCE = 60.0
WALL = datetime(2026, 1, 1, tzinfo=UTC)


def status(count: int = 1, **parts: Any) -> NodeKernelHealthStatus:
    found = Finding(
        reason="NetworkNamespaceLeaked",
        severity=Severity.WARNING,
        subject=Subject(pod="batch/build-7"),
        message="Leaked",
        count=count,
        since=WALL,
    )
    condition = Condition(
        type="NetworkNamespacesHealthy", status="False", reason="NetworkNamespaceLeaked",
        last_transition_time=WALL,
    )  # fmt: skip
    made = NodeKernelHealthStatus(
        health=Health.WARNING, findings=(found,), conditions=(condition,), last_report_time=WALL
    )
    return made.model_copy(update=parts)


@dataclass
class Heard:
    """What a watch told, in order; waits until something of it is true."""

    specs: list[Mapping[str, Any]] = field(default_factory=list)
    healths: list[str | None] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def spec(self, spec: Mapping[str, Any]) -> None:
        with self.changed:
            self.specs.append(spec)
            self.changed.notify_all()

    def health(self, health: str | None) -> None:
        with self.changed:
            self.healths.append(health)
            self.changed.notify_all()

    def until(self, true: Callable[[Heard], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: true(self), PATIENCE)


def await_result(delivery: Delivery, result: str) -> None:
    """Wait until an attempt to deliver has ended like that; nothing announces it but the count."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while not delivery.results[result]:
        assert time.monotonic() < deadline, delivery.results
        pause.wait(0.05)


@dataclass
class Agent:
    """The delivery and the watch of one node, and an administrator's view of its object."""

    plane: ControlPlane
    name: str
    server: ApiServer
    heard: Heard = field(default_factory=Heard)
    ends: ExitStack = field(default_factory=ExitStack)

    def create(self, **spec: Any) -> None:
        body = {
            "apiVersion": "kernelhealth.io/v1alpha1",
            "kind": "NodeKernelHealth",
            "metadata": {"name": self.name},
            "spec": spec,
        }
        self.plane.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def watch(self, delivery: Delivery | None = None) -> None:
        def health(found: str | None) -> None:
            if delivery is not None:
                delivery.on_server(found)
            self.heard.health(found)

        watching = Watching(self.server, self.heard.spec, health)
        watching.start()
        self.ends.callback(watching.stop)

    def delivery(self) -> Delivery:
        made = Delivery(self.server, outbox(600.0, 0.0))
        made.start()
        self.ends.callback(made.close, 5.0)
        return made

    def delivered(self) -> dict[str, Any]:
        found = self.server.get().get("status", {})
        assert isinstance(found, dict)
        return found


@pytest.fixture(scope="session")
def account(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as a pod has it, of an account that may do everything."""
    return service_account(control_plane, tmp_path_factory.mktemp("account"))


def service_account(plane: ControlPlane, directory: Path) -> Path:
    (directory / "token").write_text(plane.token)
    shutil.copy(plane.ca, directory / "ca.crt")
    plane.kubectl("apply", "-f", str(DEFINITION))
    plane.kubectl(
        "wait", "--for=condition=Established", "--timeout=60s",
        "crd/nodekernelhealths.kernelhealth.io",
    )  # fmt: skip
    return directory


@pytest.fixture
def agent(control_plane: ControlPlane, account: Path) -> Iterator[Agent]:
    name = f"node-{uuid.uuid4().hex[:8]}"
    made = Agent(control_plane, name, ApiServer(control_plane.server, account, name))
    with made.ends:
        yield made
    control_plane.kubectl("delete", "nodekernelhealth", name, "--ignore-not-found")


def test_a_report_arrives_and_is_what_was_measured(agent: Agent) -> None:
    agent.create()
    agent.watch()
    agent.delivery().offer(status(14))

    agent.heard.until(lambda heard: "Warning" in heard.healths)

    assert agent.delivered() == wire(status(14))


def test_a_report_waits_for_an_object_that_is_not_made_yet(agent: Agent) -> None:
    delivery = agent.delivery()
    agent.watch(delivery)
    delivery.offer(status())
    await_result(delivery, "missing")

    agent.create(policy="workers")

    agent.heard.until(lambda heard: "Warning" in heard.healths)
    assert agent.heard.specs[0] == {"policy": "workers"}


def test_findings_that_are_gone_are_removed_and_the_operators_fields_stay(agent: Agent) -> None:
    agent.create()
    agent.server.apply_status(wire(status()))
    remediation = {"status": {"remediation": {"name": "n-1", "phase": "Running"}}}
    agent.plane.kubectl(
        "patch", "nodekernelhealth", agent.name, "--subresource=status", "--type=merge",
        "-p", json.dumps(remediation),
    )  # fmt: skip

    agent.server.apply_status(wire(status(health=Health.HEALTHY, findings=())))

    assert agent.delivered()["findings"] == []
    assert agent.delivered()["remediation"] == {"name": "n-1", "phase": "Running"}


def test_what_the_operator_wants_is_heard_at_once(agent: Agent) -> None:
    agent.create()
    agent.watch()
    agent.heard.until(lambda heard: len(heard.specs) > 0)

    agent.create(detectors={"networkNamespaces": {"confirmAfter": "10s"}})

    wanted = {"detectors": {"networkNamespaces": {"confirmAfter": "10s"}}}
    agent.heard.until(lambda heard: heard.specs[-1] == wanted)


def test_health_that_somebody_else_wrote_is_taken_back(agent: Agent) -> None:
    agent.create()
    delivery = agent.delivery()
    agent.watch(delivery)
    delivery.offer(status())
    agent.heard.until(lambda heard: "Warning" in heard.healths)

    agent.plane.kubectl(
        "patch", "nodekernelhealth", agent.name, "--subresource=status", "--type=merge",
        "-p", '{"status":{"health":"Unknown"}}',
    )  # fmt: skip

    agent.heard.until(lambda heard: "Unknown" in heard.healths and heard.healths[-1] == "Warning")


def test_a_token_that_was_replaced_is_used_at_once(
    control_plane: ControlPlane, account: Path, tmp_path: Path, agent: Agent
) -> None:
    agent.create()
    own = shutil.copytree(account, tmp_path / "account")
    (own / "token").write_text("expired")
    server = ApiServer(control_plane.server, own, agent.name)
    with pytest.raises(RefusedError, match="401"):
        server.get()

    (own / "token").write_text(control_plane.token + "\n")

    assert server.get()["metadata"]["name"] == agent.name


def test_a_server_with_another_certificate_is_not_talked_to(
    control_plane: ControlPlane, account: Path, tmp_path: Path
) -> None:
    own = shutil.copytree(account, tmp_path / "account")
    another = certificates.authority(tmp_path / "keys")
    shutil.copy(another.pair.certificate, own / "ca.crt")

    with pytest.raises(UnreachableError, match="certificate"):
        ApiServer(control_plane.server, own, "n").get()


def test_after_an_outage_only_the_newest_state_arrives(
    control_plane_binaries: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "account"
    directory.mkdir()
    with ControlPlane(Settings(control_plane_binaries, tmp_path / "plane")) as plane:
        account = service_account(plane, directory)
        agent = Agent(plane, "node-1", ApiServer(plane.server, account, "node-1"))
        with agent.ends:
            agent.create(policy="before")
            delivery = agent.delivery()
            agent.watch(delivery)
            delivery.offer(status(1))
            agent.heard.until(lambda heard: "Warning" in heard.healths)

            plane.stop_apiserver()
            for count in (2, 3, 4):
                delivery.offer(status(count))
            await_result(delivery, "unreachable")
            delivery.offer(status(30, health=Health.CRITICAL))
            plane.start_apiserver()

            agent.heard.until(lambda heard: heard.healths[-1] == "Critical")
            assert agent.delivered()["findings"][0]["count"] == 30
            assert agent.heard.specs[-1] == {"policy": "before"}
            assert delivery.results["failed"] == 0

            agent.create(policy="after")
            agent.heard.until(lambda heard: heard.specs[-1] == {"policy": "after"})


def test_what_matters_and_was_not_sent_is_sent_at_the_end(agent: Agent) -> None:
    agent.create()
    delivery = Delivery(agent.server, outbox(600.0, 3600.0))
    delivery.start()
    delivery.offer(status(health=Health.HEALTHY, findings=()))

    delivery.close(PATIENCE)

    assert agent.delivered()["health"] == "Healthy"
