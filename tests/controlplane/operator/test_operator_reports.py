"""What the operator wants of nodes and shows of them: objects, thresholds, silence, conditions."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.operators import operator
from kernelhealth_e2e.props import (
    EVENTS,
    HEALTHS,
    KIND,
    LEAK,
    NODES,
    POLICIES,
    auto,
    condition,
    is_cordoned,
    is_event,
)
from kernelhealth_e2e.stage import Stage

STRICT = {"networkNamespaces": {"confirmAfter": "30s"}}


@pytest.mark.usefixtures("running")
async def test_every_node_is_given_an_object_that_goes_with_it(stage: Stage) -> None:
    node = await stage.node("alpha")

    health = await stage.until(HEALTHS, "alpha", bool)

    (owner,) = health["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Node", node["metadata"]["uid"])
    assert owner["blockOwnerDeletion"] is False


@pytest.mark.usefixtures("running")
async def test_an_object_that_somebody_deletes_is_made_again(stage: Stage) -> None:
    await stage.node("alpha")
    first = await stage.until(HEALTHS, "alpha", bool)

    await stage.delete(HEALTHS, "alpha")

    uid = first["metadata"]["uid"]
    await stage.until(HEALTHS, "alpha", lambda one: bool(one) and one["metadata"]["uid"] != uid)


@pytest.mark.usefixtures("running")
async def test_the_spec_follows_the_policy_and_the_labels_of_the_node(stage: Stage) -> None:
    await stage.policy("all")
    chosen = {"matchLabels": {"pool": "gpu"}}
    await stage.policy("gpu", priority=1, nodeSelector=chosen, detectors=STRICT)
    await stage.node("alpha")

    await stage.until(HEALTHS, "alpha", lambda one: _spec(one) == {"policy": "all"} | _none(one))
    await stage.merge(f"{NODES}/alpha", {"metadata": {"labels": {"pool": "gpu"}}})
    await stage.until(
        HEALTHS, "alpha", lambda one: _spec(one) == {"policy": "gpu", "detectors": STRICT}
    )
    await stage.merge(f"{POLICIES}/gpu", {"spec": {"detectors": None}})
    await stage.until(HEALTHS, "alpha", lambda one: _spec(one) == {"policy": "gpu"} | _none(one))
    await stage.delete(POLICIES, "gpu")
    await stage.until(HEALTHS, "alpha", lambda one: _spec(one).get("policy") == "all")


def _spec(item: dict[str, dict[str, object]]) -> dict[str, object]:
    """Return what is wanted of a node; an object that was just made may have nothing of it."""
    return item.get("spec", {})


def _none(item: dict[str, dict[str, object]]) -> dict[str, object]:
    """No thresholds, whichever way that is written."""
    return {"detectors": {}} if _spec(item).get("detectors") == {} else {}


async def test_a_silent_agent_makes_its_node_unknown_until_it_is_heard(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.policy("workers", **auto())
    with operator(plane.kubeconfig, tmp_path, silent_after="10s"):
        await stage.healthy_nodes("alpha")

        quiet = await stage.until(HEALTHS, "alpha", lambda one: _health(one) == "Unknown")
        node = await stage.mirrored("alpha", "AgentSilent")
        await stage.until(EVENTS, None, is_event("alpha", "AgentSilent"))
        await stage.until(POLICIES, "workers", lambda one: one["status"].get("unknown") == 1)
        await stage.report("alpha")
        heard = await stage.until(HEALTHS, "alpha", lambda one: _health(one) == "Healthy")
        await stage.mirrored("alpha", "Healthy")

    assert condition(quiet, KIND)["status"] == condition(node, KIND)["status"] == "Unknown"
    assert condition(heard, KIND)["status"] == "True"


async def test_a_node_without_an_agent_becomes_unknown(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    with operator(plane.kubeconfig, tmp_path, silent_after="1s"):
        await stage.node("alpha")

        health = await stage.until(HEALTHS, "alpha", lambda one: _health(one) == "Unknown")

    assert health["status"]["problems"] == "AgentSilent"


async def test_a_sick_node_that_falls_silent_is_neither_treated_nor_given_back(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.policy("workers", **auto())
    with operator(plane.kubeconfig, tmp_path, silent_after="15s"):
        await stage.healthy_nodes("alpha", "beta")
        await stage.report("alpha", LEAK)
        await stage.cordoned("alpha")

        node = await stage.mirrored("alpha", "AgentSilent")
        await stage.until(
            HEALTHS,
            "alpha",
            lambda one: "waitingFor" in one["status"].get("remediation", {}),
        )

    assert is_cordoned(node)


async def test_an_agent_silent_before_a_restart_of_the_operator_stays_so(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    with operator(plane.kubeconfig, tmp_path, "first", silent_after="1s"):
        await stage.healthy_nodes("alpha")
        before = await stage.mirrored("alpha", "AgentSilent")

    with operator(plane.kubeconfig, tmp_path, "second", silent_after="1h") as second:
        await stage.node("beta")
        await stage.until(HEALTHS, "beta", bool)
        writes = second.writes()
    after = await stage.get(NODES, "alpha")

    assert after is not None
    assert condition(after, KIND) == condition(before, KIND)
    assert writes.get("health status", 0) == 0


@pytest.mark.usefixtures("running")
async def test_a_condition_that_is_no_longer_reported_leaves_the_node(stage: Stage) -> None:
    await stage.healthy_nodes("alpha")
    await stage.mirrored("alpha", "Healthy")
    strange = {"type": "DisksHealthy", "status": "True", "reason": "Fine", "message": ""}
    await stage.session.request(
        "PATCH",
        f"{NODES}/alpha/status",
        body={"status": {"conditions": [strange]}},
        content_type="application/strategic-merge-patch+json",
    )

    await stage.merge(f"{HEALTHS}/alpha/status", {"status": {"conditions": []}})
    node = await stage.until(NODES, "alpha", lambda one: not condition(one, KIND))

    assert {one["type"] for one in node["status"]["conditions"]} == {"Ready", "DisksHealthy"}


@pytest.mark.usefixtures("running")
async def test_the_time_of_a_condition_moves_with_its_status_only(stage: Stage) -> None:
    await stage.healthy_nodes("alpha")
    first = condition(await stage.mirrored("alpha", "Healthy"), KIND)

    await stage.merge(
        f"{HEALTHS}/alpha/status",
        {
            "status": {
                "conditions": [
                    {
                        "type": KIND,
                        "status": "True",
                        "reason": "StillHealthy",
                        "message": "",
                        "lastTransitionTime": "2026-01-01T00:00:00Z",
                    }
                ]
            }
        },
    )
    second = condition(await stage.mirrored("alpha", "StillHealthy"), KIND)

    assert first["lastTransitionTime"] == second["lastTransitionTime"]


@pytest.mark.usefixtures("running")
async def test_a_policy_with_an_unknown_reason_is_not_ready_and_says_where(stage: Stage) -> None:
    rule = {
        "name": "typo",
        "match": {"reasons": [LEAK, "NetworkNamespaceLeeked"]},
        "actions": [{"cordon": {}}],
    }
    await stage.policy("workers", **auto(rules=[rule]))

    policy = await stage.until(
        POLICIES, "workers", lambda one: condition(one, "Ready").get("status") == "False"
    )

    message = condition(policy, "Ready")["message"]
    assert "spec.rules[0].match.reasons[1]" in message
    assert "did you mean NetworkNamespaceLeaked?" in message


@pytest.mark.usefixtures("running")
async def test_the_status_of_a_policy_counts_its_nodes_and_says_who_paused_it(stage: Stage) -> None:
    windows = [{"schedule": "0 2 * * 6", "duration": "4h", "timeZone": "Europe/Berlin"}]
    await stage.policy("workers", **auto(pauseRequests=["ann: racks"], maintenanceWindows=windows))
    await stage.healthy_nodes("alpha", "beta")
    await stage.node("gamma")
    await stage.report("beta", LEAK)

    policy = await stage.until(
        POLICIES,
        "workers",
        lambda one: _counts(one) == {"nodes": 3, "healthy": 1, "critical": 1, "unknown": 1},
    )

    assert condition(policy, "Paused")["message"] == "ann: racks"
    assert condition(policy, "Ready")["status"] == "True"
    assert policy["status"]["nextWindow"].endswith(("T00:00:00Z", "T01:00:00Z"))


@pytest.mark.usefixtures("running")
async def test_a_policy_says_how_many_of_its_nodes_another_one_governs(stage: Stage) -> None:
    await stage.policy("everything", mode="Observe")
    await stage.policy("precious", mode="Observe", priority=1)
    await stage.healthy_nodes("alpha", "beta")

    loser = await stage.until(
        POLICIES, "everything", lambda one: one.get("status", {}).get("overridden") == 2
    )
    await stage.delete(POLICIES, "precious")
    winner = await stage.until(
        POLICIES, "everything", lambda one: one.get("status", {}).get("nodes") == 2
    )

    assert condition(loser, "Ready")["message"].startswith("2 of the nodes that it selects")
    assert winner["status"]["overridden"] == 0
    assert condition(winner, "Ready")["reason"] == "Valid"


def _counts(policy: dict[str, dict[str, int]]) -> dict[str, int]:
    status = policy.get("status", {})
    return {name: status.get(name, -1) for name in ("nodes", "healthy", "critical", "unknown")}


def _health(item: dict[str, dict[str, object]]) -> object:
    return item.get("status", {}).get("health")
