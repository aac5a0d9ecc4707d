"""A node is handed to another project, with that project's own resource definitions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.operators import operator
from kernelhealth_e2e.props import (
    LEAK,
    NODES,
    REMEDIATIONS,
    Object,
    auto,
    condition,
    is_cordoned,
)
from kernelhealth_e2e.stage import Stage

DEFINITIONS = Path(__file__).parents[2] / "fixtures" / "crds"
MDR = "/apis/machine-deletion-remediation.medik8s.io/v1alpha1/namespaces/default"
SNR = "/apis/self-node-remediation.medik8s.io/v1alpha1/namespaces/default"
MACHINES = "/apis/cluster.x-k8s.io/v1beta2/namespaces/default/machines"
CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
REMEDIATE = "cluster.x-k8s.io/remediate-machine"
HANDED_OVER = "kernelhealth.io/handed-over-by"


@pytest_asyncio.fixture(autouse=True)
async def others(plane: ControlPlane, stage: Stage) -> AsyncIterator[None]:
    for definition in sorted(DEFINITIONS.glob("*.yaml")):
        plane.kubectl("apply", "--server-side", "-f", str(definition))
    plane.kubectl("wait", "crd", "--all", "--for=condition=Established")
    yield
    places = [f"{SNR}/selfnoderemediations", f"{SNR}/selfnoderemediationtemplates"]
    places += [f"{MDR}/machinedeletionremediations", MACHINES, CLAIMS]
    for place in (*places, f"{MDR}/machinedeletionremediationtemplates"):
        await stage.session.request("DELETE", place)


def ladder(**settings: Any) -> Object:
    rule = {
        "name": "leaking",
        "match": {"reasons": [LEAK]},
        "actions": [{"cordon": {}}, {"replace": settings}],
    }
    return auto(rules=[rule])


def template(remediator: str, kind: str) -> Object:
    return {
        "apiVersion": f"{remediator}-remediation.medik8s.io/v1alpha1",
        "kind": f"{kind}Template",
        "metadata": {"name": "all", "namespace": "default"},
        "spec": {"template": {"spec": {}}},
    }


def medik8s(remediator: str, kind: str, **more: Any) -> Object:
    made_from = template(remediator, kind)
    where = {**made_from["metadata"], "apiVersion": made_from["apiVersion"]}
    return ladder(via="medik8s", template={**where, "kind": made_from["kind"]}, **more)


def says(*conditions: tuple[str, str]) -> Object:
    time = "2026-01-01T00:00:00Z"
    entries = [
        {
            "type": kind,
            "status": value,
            "reason": "Said",
            "message": "m",
            "lastTransitionTime": time,
        }
        for kind, value in conditions
    ]
    return {"status": {"conditions": entries}}


def rung(node: str, state: str) -> Any:
    def true(one: Object) -> bool:
        rungs: list[Object] = one.get("status", {}).get("rungs", []) if one else []
        return bool(rungs) and one["spec"]["nodeName"] == node and rungs[-1]["state"] == state

    return true


async def test_medik8s_gets_its_remediation_and_it_goes_when_the_node_is_well(
    account: Path, stage: Stage, tmp_path: Path
) -> None:
    await stage.post(
        f"{SNR}/selfnoderemediationtemplates", template("self-node", "SelfNodeRemediation")
    )
    await stage.policy("workers", **medik8s("self-node", "SelfNodeRemediation"))

    with operator(account, tmp_path, namespace="kernelhealth-system"):
        await stage.healthy_nodes("alpha", "beta")
        await stage.report("alpha", LEAK)
        made = await stage.until(f"{SNR}/selfnoderemediations", "alpha", bool)
        node = await stage.until(NODES, "alpha", _is_handed_over)
        done = says(("Processing", "False"), ("Succeeded", "True"))
        await stage.merge(f"{SNR}/selfnoderemediations/alpha/status", done)
        await stage.until(REMEDIATIONS, None, rung("alpha", "Done"))
        await stage.report("alpha")
        await stage.phase("alpha", "Succeeded")

        assert await stage.get(f"{SNR}/selfnoderemediations", "alpha") is None
        after = await stage.schedulable("alpha")
    assert made["spec"] == {"remediationStrategy": "Automatic"}
    assert made["metadata"]["annotations"]["remediation.medik8s.io/node-name"] == "alpha"
    assert made["metadata"]["ownerReferences"][0]["uid"] == node["metadata"]["uid"]
    assert HANDED_OVER not in after["metadata"]["annotations"]


async def test_a_node_that_is_replaced_ends_its_treatment_with_success(
    account: Path, stage: Stage, tmp_path: Path
) -> None:
    kind = "MachineDeletionRemediation"
    await stage.post(
        f"{MDR}/machinedeletionremediationtemplates", template("machine-deletion", kind)
    )
    await stage.policy("workers", **medik8s("machine-deletion", kind))

    with operator(account, tmp_path, namespace="kernelhealth-system"):
        await stage.healthy_nodes("alpha", "beta")
        await stage.report("alpha", LEAK)
        await stage.until(f"{MDR}/machinedeletionremediations", "alpha", bool)
        leaving = says(("Succeeded", "True"), ("PermanentNodeDeletionExpected", "True"))
        await stage.merge(f"{MDR}/machinedeletionremediations/alpha/status", leaving)
        await stage.until(REMEDIATIONS, None, _waits("NodeLeaving"))
        await stage.delete(NODES, "alpha")

        treatment = await stage.phase("alpha", "Succeeded")
    assert treatment["status"]["message"].startswith("NodeGone")


async def test_who_says_no_to_the_treatment_takes_the_remediation_back(
    account: Path, stage: Stage, tmp_path: Path
) -> None:
    await stage.post(
        f"{SNR}/selfnoderemediationtemplates", template("self-node", "SelfNodeRemediation")
    )
    await stage.policy("workers", **medik8s("self-node", "SelfNodeRemediation"))

    with operator(account, tmp_path, namespace="kernelhealth-system"):
        await stage.healthy_nodes("alpha", "beta")
        await stage.report("alpha", LEAK)
        await stage.until(NODES, "alpha", _is_handed_over)
        (treatment,) = await stage.items(REMEDIATIONS)
        name = treatment["metadata"]["name"]
        await stage.merge(f"{REMEDIATIONS}/{name}", {"spec": {"decision": "Cancelled"}})
        await stage.phase("alpha", "Cancelled")

        assert await stage.get(f"{SNR}/selfnoderemediations", "alpha") is None
        node = await stage.schedulable("alpha")
    assert HANDED_OVER not in node["metadata"]["annotations"]


async def test_the_remediation_of_a_node_health_check_is_never_taken_away(
    account: Path, stage: Stage, tmp_path: Path
) -> None:
    place = f"{SNR}/selfnoderemediations"
    theirs = template("self-node", "SelfNodeRemediation")
    await stage.post(f"{SNR}/selfnoderemediationtemplates", theirs)
    body = {**theirs, "kind": "SelfNodeRemediation", "metadata": {"name": "alpha"}, "spec": {}}
    await stage.post(place, body)
    await stage.policy("workers", **medik8s("self-node", "SelfNodeRemediation"))

    with operator(account, tmp_path, namespace="kernelhealth-system"):
        await stage.healthy_nodes("alpha", "beta")
        await stage.report("alpha", LEAK)
        await stage.until(REMEDIATIONS, None, _waits("OthersAtWork"))
        await stage.report("alpha")
        await stage.phase("alpha", "Succeeded")

    assert await stage.get(place, "alpha") is not None


async def test_a_machine_is_marked_for_its_health_check_and_unmarked_when_the_node_is_well(
    account: Path, stage: Stage, tmp_path: Path
) -> None:
    await stage.post(MACHINES, _machine())
    await stage.node("alpha")
    named = {
        "cluster.x-k8s.io/machine": "m-1",
        "cluster.x-k8s.io/cluster-namespace": "default",
    }
    await stage.merge(f"{NODES}/alpha", {"metadata": {"annotations": named}})
    await stage.policy("workers", **ladder(via="clusterAPI"))

    with operator(account, tmp_path, namespace="kernelhealth-system"):
        await stage.healthy_nodes("beta")
        await stage.report("alpha", LEAK)
        await stage.until(MACHINES, "m-1", _is_marked)
        await stage.until(REMEDIATIONS, None, _waits("HandedOver"))
        await stage.report("alpha")
        await stage.phase("alpha", "Succeeded")

    machine = await stage.get(MACHINES, "m-1")
    assert machine is not None
    assert not _is_marked(machine)
    assert machine["spec"]["clusterName"] == "c"


async def test_karpenter_gets_its_condition_and_it_goes_when_the_node_is_well(
    account: Path, stage: Stage, tmp_path: Path
) -> None:
    await stage.post(CLAIMS, _claim())
    node = await stage.node("alpha")
    owner = {"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "name": "pool-x", "uid": "u"}
    await stage.merge(f"{NODES}/alpha", {"metadata": {"ownerReferences": [owner]}})
    await stage.policy("workers", **ladder(via="karpenter", condition="KernelReady"))

    with operator(account, tmp_path, namespace="kernelhealth-system"):
        await stage.healthy_nodes("beta")
        await stage.report("alpha", LEAK)
        marked = await stage.until(
            NODES, "alpha", lambda one: condition(one, "KernelReady").get("status") == "False"
        )
        await stage.until(REMEDIATIONS, None, _waits("HandedOver"))
        await stage.report("alpha")
        await stage.phase("alpha", "Succeeded")

    after = await stage.get(NODES, "alpha")
    assert after is not None
    assert LEAK in condition(marked, "KernelReady")["message"]
    assert is_cordoned(marked)
    assert condition(after, "KernelReady") == {}
    assert condition(after, "Ready")["status"] == condition(node, "Ready")["status"] == "True"


def _machine() -> Object:
    reference = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "DockerMachine"}
    return {
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "Machine",
        "metadata": {"name": "m-1", "namespace": "default"},
        "spec": {
            "clusterName": "c",
            "bootstrap": {"dataSecretName": "s"},
            "infrastructureRef": {**reference, "name": "m-1"},
        },
    }


def _claim() -> Object:
    kind = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {"name": "pool-x"},
        "spec": {"nodeClassRef": kind, "requirements": []},
    }


def _is_marked(machine: Object) -> bool:
    return bool(machine) and REMEDIATE in machine["metadata"].get("annotations", {})


def _is_handed_over(node: Object) -> bool:
    return " asked " in node.get("metadata", {}).get("annotations", {}).get(HANDED_OVER, "")


def _waits(reason: str) -> Any:
    return lambda one: (
        bool(one) and str(one.get("status", {}).get("waitingFor", "")).startswith(f"{reason}:")
    )
