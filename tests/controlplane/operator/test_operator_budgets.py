"""How many nodes are taken out of service at once, and what is done when many fall ill at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.operators import operator
from kernelhealth_e2e.props import (
    DEADLINE,
    LEAK,
    NODES,
    POLICIES,
    REMEDIATIONS,
    RESIDUE,
    Object,
    auto,
    condition,
    is_cordoned,
)
from kernelhealth_e2e.stage import Stage

ZONE = "topology.kubernetes.io/zone"
NAMES = tuple(f"node-{number}" for number in range(8))


def policy(**disruption: Any) -> Object:
    limits = {"maxUnavailable": "100%", "minHealthy": 0, "stormThreshold": 0}
    return auto(disruption=limits | disruption)


def waits_for(node: str, reason: str) -> Any:
    def true(one: Object) -> bool:
        return (
            bool(one)
            and one["spec"]["nodeName"] == node
            and (str(one.get("status", {}).get("waitingFor", "")).startswith(f"{reason}:"))
        )

    return true


async def cordoned(stage: Stage) -> set[str]:
    """The nodes out of service; that a treatment begins is written before its node is changed."""
    for one in await stage.items(REMEDIATIONS):
        if one.get("status", {}).get("phase") == "Running":
            await stage.cordoned(one["spec"]["nodeName"])
    return {one["metadata"]["name"] for one in await stage.items(NODES) if is_cordoned(one)}


@pytest.mark.usefixtures("running")
async def test_a_zone_has_its_own_limit_and_others_go_on(stage: Stage) -> None:
    await stage.policy("workers", **policy(maxUnavailablePerZone=1))
    for number, name in enumerate(NAMES[:4]):
        await stage.node(name, {ZONE: f"zone-{number // 2}"})
    for name in NAMES[:4]:
        await stage.report(name)

    await stage.report("node-0", LEAK)
    await stage.cordoned("node-0")
    await stage.report("node-1", LEAK)
    await stage.until(REMEDIATIONS, None, waits_for("node-1", "MaxUnavailablePerZone"))
    await stage.report("node-2", LEAK)
    await stage.cordoned("node-2")

    assert await cordoned(stage) == {"node-0", "node-2"}


@pytest.mark.usefixtures("running")
async def test_nodes_that_are_down_for_other_reasons_count(stage: Stage) -> None:
    await stage.policy("workers", **policy(maxUnavailable=2))
    await stage.healthy_nodes(*NAMES[:3])
    await stage.node("down")
    broken = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "m"}
    await stage.merge(f"{NODES}/down/status", {"status": {"conditions": [broken]}})

    await stage.report("node-0", LEAK)
    await stage.cordoned("node-0")
    await stage.report("node-1", LEAK)
    await stage.until(REMEDIATIONS, None, waits_for("node-1", "MaxUnavailable"))

    assert await cordoned(stage) == {"node-0"}


async def test_a_storm_freezes_its_cause_over_a_restart_and_nothing_else(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    rules = [
        {"name": name, "match": {"reasons": [reason]}, "actions": [{"cordon": {}}]}
        for name, reason in (("leaking", LEAK), ("residue", RESIDUE))
    ]
    spec = auto(
        rules=rules,
        disruption={
            "maxUnavailable": "100%",
            "minHealthy": 0,
            "stormThreshold": 4,
            "stormCooldownDuration": "1h",
        },
    )
    waiting = {**spec, "pauseRequests": ["the stage: wait until all are ill"]}
    await stage.policy("workers", **waiting)
    with operator(plane.kubeconfig, tmp_path, "first"):
        await stage.healthy_nodes(*NAMES)
        await asyncio.gather(*(stage.report(name, LEAK) for name in NAMES[:4]))
        storm = await stage.until(POLICIES, "workers", _is("StormActive", "True"))
        await stage.merge(f"{POLICIES}/workers", {"spec": {"pauseRequests": []}})

        await stage.report("node-7", RESIDUE)
        await stage.cordoned("node-7")
        await stage.until(REMEDIATIONS, None, waits_for("node-0", "Storm"))

    with operator(plane.kubeconfig, tmp_path, "second"):
        await stage.report("node-6", RESIDUE)
        await stage.cordoned("node-6")

        assert await cordoned(stage) == {"node-6", "node-7"}
    said = condition(storm, "StormActive")
    assert said["reason"] == "ManyAtOnce"
    assert f"4 nodes are ill of {LEAK}" in said["message"]


@pytest.mark.usefixtures("running")
async def test_when_it_has_cooled_down_it_is_tried_on_one_node_then_on_two(stage: Stage) -> None:
    await stage.policy("workers", **policy(stormThreshold=4, stormCooldownDuration="3s"))
    paused = {"spec": {"pauseRequests": ["the stage: wait until all are ill"]}}
    await stage.merge(f"{POLICIES}/workers", paused)
    await stage.healthy_nodes(*NAMES)
    await asyncio.gather(*(stage.report(name, LEAK) for name in NAMES))
    await stage.until(POLICIES, "workers", _is("StormActive", "True"))

    await stage.merge(f"{POLICIES}/workers", {"spec": {"pauseRequests": []}})
    first = await stage.until(NODES, None, is_cordoned)
    calm = await stage.until(POLICIES, "workers", _is("StormActive", "False"))
    rest = [name for name in NAMES if name != first["metadata"]["name"]]
    await stage.until(REMEDIATIONS, None, waits_for(rest[-1], "StormAftermath"))
    alone = await cordoned(stage)
    await stage.report(first["metadata"]["name"])
    await stage.phase(first["metadata"]["name"], "Succeeded")
    # Those that the aftermath holds up look again after a minute.
    await stage.until(
        POLICIES, "workers", lambda one: one["status"]["inProgress"] == 2, 2 * DEADLINE
    )

    assert condition(calm, "StormActive")["reason"] == "Aftermath"
    assert alone == {first["metadata"]["name"]}
    assert len(await cordoned(stage)) == 2


def _is(kind: str, status: str) -> Any:
    return lambda one: condition(one, kind).get("status") == status
