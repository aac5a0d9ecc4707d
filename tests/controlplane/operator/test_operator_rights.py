"""The operator with the rights it is shipped with, and the switches that keep it from acting."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.operators import operator
from kernelhealth_e2e.props import (
    EVENTS,
    LEAK,
    NODES,
    POLICIES,
    REMEDIATIONS,
    Object,
    auto,
    is_cordoned,
    is_event,
)
from kernelhealth_e2e.stage import Stage

NAMESPACE = "kernelhealth-system"
NAME = "kernelhealth-operator"
REFUSED = re.compile(r"with 403\b|[Ff]orbidden")


async def test_the_shipped_rights_are_enough(account: Path, stage: Stage, tmp_path: Path) -> None:
    await stage.policy("workers", **auto())
    with operator(account, tmp_path, namespace=NAMESPACE) as running:
        await stage.healthy_nodes("alpha", "beta")
        await stage.report("alpha", LEAK)
        await stage.cordoned("alpha")
        await stage.until(EVENTS, None, is_event("alpha", LEAK))
        await stage.report("alpha")
        await stage.schedulable("alpha")
        await stage.phase("alpha", "Succeeded")

        assert not REFUSED.search(running.log())


async def test_a_pause_counts_although_the_watch_of_policies_is_dead(
    account: Path, plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    role = json.loads(plane.kubectl("get", "clusterrole", NAME, "-o", "json"))
    for rule in role["rules"]:
        if rule["resources"] == ["kernelhealthpolicies"]:
            rule["verbs"].remove("watch")
    plane.kubectl("replace", "-f", "-", stdin=json.dumps(role))
    await stage.policy("workers", **auto())
    with operator(account, tmp_path, namespace=NAMESPACE):
        await stage.healthy_nodes("alpha", "beta")
        await stage.mirrored("alpha", "Healthy")

        await stage.merge(f"{POLICIES}/workers", {"spec": {"pauseRequests": ["ann: racks"]}})
        await stage.report("alpha", LEAK)
        await stage.until(REMEDIATIONS, None, _waits_for_the_pause)
        node = await stage.get(NODES, "alpha")

    assert node is not None
    assert not is_cordoned(node)


async def test_a_dry_run_changes_no_node(plane: ControlPlane, stage: Stage, tmp_path: Path) -> None:
    await stage.policy("workers", **auto())
    with operator(plane.kubeconfig, tmp_path, dry_run="true") as running:
        await stage.healthy_nodes("alpha", "beta")
        await stage.report("alpha", LEAK)
        await stage.until(EVENTS, None, is_event("alpha", LEAK))

        written = running.writes()

    assert "OpenRemediation" in running.log()
    assert not {"node", "node status", "remediation"} & set(written)


@pytest.mark.usefixtures("running")
async def test_a_node_that_is_labelled_to_be_ignored_is_let_be(stage: Stage) -> None:
    await stage.policy("workers", **auto())
    await stage.node("alpha", {"kernelhealth.io/ignore": "true"})

    await stage.report("alpha", LEAK)
    node = await stage.mirrored("alpha", LEAK)

    assert not is_cordoned(node)
    assert await stage.items(REMEDIATIONS) == []


def _waits_for_the_pause(treatment: Object) -> bool:
    return "ann: racks" in (treatment.get("status", {}).get("waitingFor") or "")
