"""What the operator outlives: its own death, another replica, and an API server that is away."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.errors import ProcessError
from kernelhealth_e2e.operators import Operator, operator
from kernelhealth_e2e.props import (
    EVENTS,
    HEALTHS,
    LEAK,
    LEASES,
    NODES,
    REMEDIATIONS,
    auto,
    is_event,
)
from kernelhealth_e2e.stage import Stage

LEASE = "kernelhealth-operator"
CRD = Path(__file__).parents[3] / "crds" / "nodekernelhealths.yaml"
GROUP = ".kernelhealth.io"


async def test_what_a_killed_operator_began_another_one_ends(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.policy("workers", **auto())
    with operator(plane.kubeconfig, tmp_path, "first") as first:
        await stage.healthy_nodes("alpha", "beta")
        await stage.report("alpha", LEAK)
        await stage.cordoned("alpha")
        first.kill()

    await stage.report("alpha")
    with operator(plane.kubeconfig, tmp_path, "second"):
        await stage.schedulable("alpha")
        await stage.phase("alpha", "Succeeded")

    assert len(await stage.items(REMEDIATIONS)) == 1


async def test_of_two_replicas_one_acts_and_the_other_takes_over(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    # The lease changes hands once only: by the death of the one that holds it.
    steady = {"lease_duration": "15s", "renew_deadline": "10s"}
    await stage.policy("workers", **auto())
    with (
        operator(plane.kubeconfig, tmp_path, "first", **steady) as first,
        operator(plane.kubeconfig, tmp_path, "second", **steady) as second,
    ):
        await stage.healthy_nodes("alpha", "beta")
        await stage.report("alpha", LEAK)
        await stage.cordoned("alpha")
        leader, standby = await _roles(stage, first, second)
        idle = standby.writes()
        leader.kill()
        await stage.report("alpha")
        await stage.schedulable("alpha")
        busy = standby.writes()

    assert idle == {}
    assert busy["node"] >= 1


async def test_a_leader_that_leaves_hands_over_at_once(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    patient = {"lease_duration": "1h", "renew_deadline": "30m"}
    with operator(plane.kubeconfig, tmp_path, "second", **patient) as second:
        await stage.until(LEASES, LEASE, lambda one: _holder(one) == "second")
        with operator(plane.kubeconfig, tmp_path, "third", **patient):
            second.process.stop(grace=60.0)
            await stage.until(LEASES, LEASE, lambda one: _holder(one) == "third")
            await stage.node("alpha")
            health = await stage.until(HEALTHS, "alpha", bool)

    assert health["metadata"]["name"] == "alpha"


async def test_what_appears_while_nobody_leads_is_told_by_the_next_leader_and_only_that(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    with operator(plane.kubeconfig, tmp_path, "first"):
        await stage.healthy_nodes("alpha", "beta")
        await stage.report("beta", LEAK)
        await stage.until(EVENTS, None, is_event("beta", LEAK))
        # What the Node shows counts as told; one that ends in between tells it twice, not never.
        await stage.mirrored("beta", LEAK)
        await stage.mirrored("alpha", "Healthy")
    await stage.report("alpha", LEAK)

    with operator(plane.kubeconfig, tmp_path, "second"):
        await stage.until(EVENTS, None, is_event("alpha", LEAK))

    told = [one for one in await stage.items(EVENTS) if is_event("beta", LEAK)(one)]
    assert len(told) == 1
    assert "series" not in told[0]


async def test_an_outage_of_the_api_server_is_waited_for(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.policy("workers", **auto())
    with operator(plane.kubeconfig, tmp_path) as running:
        await stage.healthy_nodes("alpha", "beta")
        await stage.until(LEASES, LEASE, lambda one: _holder(one) == "one")

        plane.stop_apiserver()
        # Its own clock tells it that the lease is lost, though nobody can answer.
        await _until_not_leading(running)
        plane.start_apiserver()
        await stage.report("alpha", LEAK)
        await stage.cordoned("alpha")
        await stage.node("gamma")
        await stage.until(HEALTHS, "gamma", bool)

        assert running.process.is_running()
        assert running.alive()


@pytest.mark.usefixtures("stage")
def test_an_operator_that_cannot_go_on_ends_and_says_why(
    plane: ControlPlane, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        with (
            pytest.raises(ProcessError, match="a part of the operator has failed, start it again"),
            operator(plane.kubeconfig, tmp_path, metrics_port=port),
        ):
            pass


@pytest.fixture
def lax(plane: ControlPlane) -> Iterator[None]:
    """The schema of reports takes anything, as that of another version might."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/status"
    patch = json.dumps([{"op": "replace", "path": path, "value": anything}])
    plane.kubectl("patch", "crd", CRD.stem + GROUP, "--type=json", f"--patch={patch}")
    yield
    plane.kubectl("replace", "-f", str(CRD))


@pytest.mark.usefixtures("lax")
async def test_a_report_that_cannot_be_read_is_no_report_and_stops_nobody_else(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.policy("workers", **auto())
    with operator(plane.kubeconfig, tmp_path) as running:
        await stage.healthy_nodes("alpha", "beta")
        await stage.mirrored("alpha", "Healthy")

        await stage.merge(f"{HEALTHS}/alpha/status", {"status": {"health": ["?"], "findings": 7}})
        await stage.report("beta", LEAK)
        await stage.cordoned("beta")
        await stage.merge(f"{NODES}/alpha", {"metadata": {"labels": {"look": "again"}}})
        await stage.until(EVENTS, None, is_event("alpha", "AgentSilent"))
        await stage.delete(HEALTHS, "alpha")
        await stage.report("alpha")
        await stage.until(EVENTS, None, is_event("alpha", "AgentReporting"))

        assert running.alive()
        assert "could not be read: alpha" in running.log()


async def _roles(stage: Stage, *candidates: Operator) -> tuple[Operator, Operator]:
    lease = await stage.until(LEASES, LEASE, lambda one: bool(_holder(one)))
    first, second = candidates
    leads = f"operator-{_holder(lease)}" == first.process.command.name
    return (first, second) if leads else (second, first)


async def _until_not_leading(running: Operator) -> None:
    running.process.await_ready(lambda: running.scrape()["kernelhealth_leader"] == 0, 60)


def _holder(lease: dict[str, dict[str, str]]) -> str:
    return lease.get("spec", {}).get("holderIdentity", "")
