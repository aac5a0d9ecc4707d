"""A node is tainted, given back without the taint, and left to the person who removes it."""

from __future__ import annotations

import pytest

from kernelhealth_e2e.props import LEAK, NODES, POLICIES, REMEDIATIONS, Object, auto
from kernelhealth_e2e.stage import Stage

KEY = "kernelhealth.io/unhealthy"
OWNER = "kernelhealth.io/tainted-by"
THEIRS = {"key": "example.com/gpu", "value": "a", "effect": "NoSchedule"}
PAUSED: Object = {"spec": {"pauseRequests": ["ann: racks"]}}
RESUMED: Object = {"spec": {"pauseRequests": []}}
pytestmark = pytest.mark.usefixtures("running")


def ladder(*actions: Object) -> Object:
    rule = {"name": "leaking", "match": {"reasons": [LEAK]}, "actions": list(actions)}
    return auto(rules=[rule])


async def test_a_tainted_node_is_given_back_with_the_taints_of_others(stage: Stage) -> None:
    await stage.policy("workers", **ladder({"cordon": {}}, {"taint": {}}))
    await stage.healthy_nodes("alpha", "beta")
    await stage.merge(f"{NODES}/alpha", {"spec": {"taints": [THEIRS]}})

    await stage.report("alpha", LEAK)
    tainted = await stage.until(NODES, "alpha", is_tainted)
    await stage.report("alpha")
    treatment = await stage.phase("alpha", "Succeeded")
    node = await stage.get(NODES, "alpha")

    ours = [one for one in tainted["spec"]["taints"] if one["key"] == KEY]
    assert ours == [{"key": KEY, "value": LEAK, "effect": "NoSchedule"}]
    assert tainted["metadata"]["annotations"][OWNER] == treatment["metadata"]["name"]
    assert node is not None
    assert without_the_servers_own(node) == [THEIRS]
    assert OWNER not in node["metadata"].get("annotations", {})
    assert not node["spec"].get("unschedulable")
    states = [rung["state"] for rung in treatment["status"]["rungs"]]
    assert states == ["Reverted", "Reverted"]


async def test_a_person_who_removes_the_taint_ends_it_and_gets_the_whole_node_back(
    stage: Stage,
) -> None:
    await stage.policy("workers", **ladder({"cordon": {}}, {"taint": {"effect": "NoExecute"}}))
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await stage.until(NODES, "alpha", is_tainted)

    await stage.merge(f"{NODES}/alpha", {"spec": {"taints": [THEIRS]}})
    treatment = await stage.phase("alpha", "Cancelled")
    node = await stage.schedulable("alpha")

    assert treatment["status"]["message"].startswith("Overruled: a person undid the taint")
    assert without_the_servers_own(node) == [THEIRS]
    assert OWNER not in node["metadata"].get("annotations", {})


async def test_a_treatment_that_is_deleted_by_hand_leaves_no_taint_behind(stage: Stage) -> None:
    await stage.policy("workers", **ladder({"taint": {}}))
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    tainted = await stage.until(NODES, "alpha", is_tainted)
    await stage.merge(f"{POLICIES}/workers", PAUSED)

    await stage.delete(REMEDIATIONS, tainted["metadata"]["annotations"][OWNER])
    await stage.report("alpha")
    await stage.merge(f"{POLICIES}/workers", RESUMED)

    await stage.until(NODES, "alpha", lambda node: bool(node) and not is_tainted(node))


def is_tainted(node: Object) -> bool:
    """Whether a Node has our taint."""
    return any(one["key"] == KEY for one in node.get("spec", {}).get("taints", ()))


def without_the_servers_own(node: Object) -> list[Object]:
    """The taints that people set: without those that follow from the state of the Node."""
    taints = node["spec"].get("taints", [])
    return [one for one in taints if not one["key"].startswith("node.kubernetes.io/")]
