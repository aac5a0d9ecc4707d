"""Whoever deletes a NodeRemediation that has not ended means no, and is not contradicted."""

from __future__ import annotations

from pathlib import Path

from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.operators import operator
from kernelhealth_e2e.props import (
    EVENTS,
    HEALTHS,
    LEAK,
    LEASES,
    NODES,
    REMEDIATIONS,
    RESIDUE,
    Object,
    auto,
    is_cordoned,
    is_event,
)
from kernelhealth_e2e.stage import Stage
from kernelhealth_operator.policy.reprieve import LET_BE

LEASE = "kernelhealth-operator"


async def test_an_open_treatment_that_is_deleted_is_not_opened_again(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.policy("workers", **auto(mode="Propose"))
    with operator(plane.kubeconfig, tmp_path):
        name = await _proposed(stage)

        await stage.delete(REMEDIATIONS, name)

        node = await stage.until(NODES, "alpha", _is_let_be)
        await stage.until(EVENTS, None, is_event("alpha", "RemediationCancelled"))
        await _another_look(stage)

    assert node["metadata"]["annotations"][LET_BE].startswith(f"{name} ")
    assert await stage.items(REMEDIATIONS) == []


async def test_one_that_is_deleted_while_nobody_leads_is_not_opened_again_either(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.policy("workers", **auto(mode="Propose"))
    with operator(plane.kubeconfig, tmp_path, "before") as before:
        name = await _proposed(stage)
        before.kill()

        await stage.delete(REMEDIATIONS, name)

    await stage.delete(LEASES, LEASE)
    with operator(plane.kubeconfig, tmp_path, "after"):
        await stage.until(NODES, "alpha", _is_let_be)
        await _another_look(stage)
    assert await stage.items(REMEDIATIONS) == []


async def test_a_node_that_was_cordoned_is_given_back_and_let_be(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.policy("workers", **auto())
    with operator(plane.kubeconfig, tmp_path):
        await stage.healthy_nodes("alpha", "beta")
        await stage.report("alpha", LEAK)
        await stage.cordoned("alpha")
        treatment = await stage.until(HEALTHS, "alpha", _has_treatment)

        await stage.delete(REMEDIATIONS, treatment["status"]["remediation"]["name"])

        await stage.schedulable("alpha")
        await stage.until(NODES, "alpha", _is_let_be)
        await _another_look(stage)
        node = await stage.get(NODES, "alpha")
    assert node is not None
    assert not is_cordoned(node)
    assert await stage.items(REMEDIATIONS) == []


async def test_whoever_removes_the_note_wants_the_node_treated_again(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.policy("workers", **auto(mode="Propose"))
    with operator(plane.kubeconfig, tmp_path):
        await stage.delete(REMEDIATIONS, await _proposed(stage))
        await stage.until(NODES, "alpha", _is_let_be)
        await stage.until(HEALTHS, "alpha", lambda one: not _has_treatment(one))

        await stage.merge(f"{NODES}/alpha", {"metadata": {"annotations": {LET_BE: None}}})

        await stage.phase("alpha", "Proposed")


async def _proposed(stage: Stage) -> str:
    """Leaves a proposal open for a sick node, of which the node's object tells; its name."""
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await stage.phase("alpha", "Proposed")
    health = await stage.until(HEALTHS, "alpha", _has_treatment)
    return str(health["status"]["remediation"]["name"])


async def _another_look(stage: Stage) -> None:
    """Waits until the operator has looked at the node once more, and has decided about it."""
    await stage.report("alpha", RESIDUE, LEAK)
    await stage.mirrored("alpha", RESIDUE)


def _has_treatment(health: Object) -> bool:
    return "remediation" in health.get("status", {})


def _is_let_be(node: Object) -> bool:
    return LET_BE in node["metadata"].get("annotations", {})
