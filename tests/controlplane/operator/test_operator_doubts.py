"""What must not be believed: old news, unreadable objects, marks that a person has overtaken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.operators import Operator, operator
from kernelhealth_e2e.props import (
    DEADLINE,
    LEAK,
    NODES,
    POLICIES,
    REMEDIATIONS,
    RESIDUE,
    Object,
    auto,
    is_cordoned,
)
from kernelhealth_e2e.stage import Stage
from kernelhealth_operator.cluster.errors import Rejected

OWNER = "kernelhealth.io/cordoned-by"
CRDS = Path(__file__).parents[3] / "crds"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
SCHEMA = "/spec/versions/0/schema/openAPIV3Schema"


async def test_a_node_that_a_person_cordoned_anew_stays_cordoned(
    stage: Stage, running: Operator
) -> None:
    await stage.policy("workers", **auto())
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await stage.cordoned("alpha")
    await stage.phase("alpha", "Running")

    running.pause()
    await stage.merge(f"{NODES}/alpha", {"spec": {"unschedulable": None}})
    await stage.merge(f"{NODES}/alpha", {"spec": {"unschedulable": True}})
    await stage.report("alpha")
    running.resume()
    treatment = await stage.phase("alpha", "Cancelled")

    node = await stage.until(NODES, "alpha", lambda one: OWNER not in _annotations(one))
    assert is_cordoned(node)
    assert treatment["status"]["message"].startswith("Overruled: ")
    assert treatment["status"]["rungs"][0]["state"] == "Overruled"


@pytest.fixture
def lax(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[None]:
    """The schema of a kind takes anything, as that of another version might."""
    plural, part = request.param
    patch = [{"op": "replace", "path": f"{SCHEMA}/properties/{part}", "value": ANYTHING}]
    rules = f"{SCHEMA}/x-kubernetes-validations"
    if plural == "noderemediations":
        patch.append({"op": "remove", "path": rules})
    crd = f"{plural}.kernelhealth.io"
    plane.kubectl("patch", "crd", crd, "--type=json", f"--patch={json.dumps(patch)}")
    yield
    plane.kubectl("replace", "-f", str(CRDS / f"{plural}.yaml"))


@pytest.mark.parametrize("lax", [("noderemediations", "status")], indirect=True)
@pytest.mark.usefixtures("lax")
async def test_a_treatment_that_cannot_be_read_is_neither_undone_nor_begun_again(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.policy("workers", **auto())
    with operator(plane.kubeconfig, tmp_path, "first"):
        await stage.healthy_nodes("alpha", "beta", "gamma", "delta")
        await stage.report("alpha", LEAK)
        await stage.cordoned("alpha")
        treatment = await stage.phase("alpha", "Running")
    await _newer_phase(stage, treatment)

    with operator(plane.kubeconfig, tmp_path, "second") as second:
        await stage.report("alpha", RESIDUE, LEAK)
        node = await stage.mirrored("alpha", RESIDUE)
        await stage.report("beta", LEAK)
        await stage.cordoned("beta")

        written = second.writes()

    assert is_cordoned(node)
    assert _annotations(node)[OWNER] == treatment["metadata"]["name"]
    assert written["remediation"] == 1
    assert "cannot be read" in second.log()


@pytest.mark.parametrize("lax", [("noderemediations", "status")], indirect=True)
@pytest.mark.usefixtures("lax")
async def test_a_proposal_that_cannot_be_read_is_not_proposed_again_and_again(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.policy("workers", **auto(mode="Propose"))
    with operator(plane.kubeconfig, tmp_path, "first"):
        await stage.healthy_nodes("alpha", "beta", "gamma", "delta")
        await stage.report("alpha", LEAK)
        treatment = await stage.phase("alpha", "Proposed")
    await _newer_phase(stage, treatment)

    with operator(plane.kubeconfig, tmp_path, "second") as second:
        await stage.report("alpha", RESIDUE, LEAK)
        await stage.mirrored("alpha", RESIDUE)
        await stage.report("beta", LEAK)
        await stage.phase("beta", "Proposed")

        written = second.writes()

    assert written["remediation"] < 10


@pytest.mark.parametrize("lax", [("kernelhealthpolicies", "spec")], indirect=True)
@pytest.mark.usefixtures("lax")
async def test_a_policy_that_cannot_be_read_keeps_its_nodes_and_does_nothing(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    unreadable = auto(priority=5, nodeSelector={"matchLabels": {"pool": "gpu"}}, mode="Later")
    await _accepted(stage, "precious", unreadable)
    await stage.policy("workers", **auto())

    with operator(plane.kubeconfig, tmp_path):
        await stage.node("alpha", {"pool": "gpu"})
        await stage.healthy_nodes("beta", "gamma", "delta")
        await stage.report("alpha", LEAK)
        node = await stage.mirrored("alpha", LEAK)
        await stage.report("beta", LEAK)
        await stage.cordoned("beta")
        policy = await stage.until(
            POLICIES, "precious", lambda one: bool(one.get("status", {}).get("conditions"))
        )

    assert not is_cordoned(node)
    ready = next(one for one in policy["status"]["conditions"] if one["type"] == "Ready")
    assert ready["status"] == "False"
    assert "cannot be read" in ready["message"]


async def _accepted(stage: Stage, name: str, spec: Object) -> None:
    """Creates a policy once the server has taken the lax schema over, which nothing tells."""
    async with asyncio.timeout(DEADLINE):
        while True:
            with suppress(Rejected):
                await stage.policy(name, **spec)
                return
            await asyncio.sleep(0.1)


async def _newer_phase(stage: Stage, treatment: Object) -> None:
    name = treatment["metadata"]["name"]
    await stage.merge(f"{REMEDIATIONS}/{name}/status", {"status": {"phase": "Rebooting"}})


def _annotations(item: Object) -> dict[str, str]:
    annotations: dict[str, str] = item.get("metadata", {}).get("annotations", {})
    return annotations
