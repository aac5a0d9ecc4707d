"""One node's way from sick to given back, and what may stand in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernelhealth_e2e.props import (
    EVENTS,
    HEALTHS,
    LEAK,
    NODES,
    POLICIES,
    REMEDIATIONS,
    RESIDUE,
    Object,
    auto,
    is_cordoned,
    is_event,
)
from kernelhealth_e2e.stage import Stage

OWNER = "kernelhealth.io/cordoned-by"
pytestmark = pytest.mark.usefixtures("running")


async def test_a_leaking_node_is_cordoned_shown_and_given_back(stage: Stage) -> None:
    await stage.policy("workers", **auto())
    await stage.healthy_nodes("alpha", "beta")

    await stage.report("alpha", LEAK)
    node = await stage.cordoned("alpha")
    await stage.until(EVENTS, None, is_event("alpha", LEAK))
    health = await stage.until(HEALTHS, "alpha", lambda one: "remediation" in one["status"])
    await stage.mirrored("alpha", LEAK)
    await stage.report("alpha")
    await stage.schedulable("alpha")

    treatment = await stage.phase("alpha", "Succeeded")
    name = treatment["metadata"]["name"]
    assert node["metadata"]["annotations"][OWNER] == name
    assert health["status"]["remediation"]["name"] == name
    assert [one["reason"] for one in treatment["status"]["evidence"]] == [LEAK]
    await stage.until(HEALTHS, "alpha", lambda one: "remediation" not in one["status"])
    await stage.until(EVENTS, None, is_event("alpha", f"{LEAK}Cleared"))


async def test_a_cordon_of_somebody_else_is_never_undone(stage: Stage) -> None:
    await stage.policy("workers", **auto(disruption={"maxUnavailable": 2, "minHealthy": 0}))
    await stage.node("alpha", cordoned=True)
    await stage.healthy_nodes("beta")

    await stage.report("alpha", LEAK)
    await stage.mirrored("alpha", LEAK)
    await stage.until(REMEDIATIONS, None, bool)
    await stage.report("alpha")
    await stage.until(REMEDIATIONS, None, lambda one: "finishedAt" in one.get("status", {}))

    node = await stage.get(NODES, "alpha")
    assert node is not None
    assert is_cordoned(node)
    assert OWNER not in node["metadata"].get("annotations", {})


async def test_a_person_who_uncordons_ends_it_and_is_not_contradicted(stage: Stage) -> None:
    await stage.policy("workers", **auto())
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await stage.cordoned("alpha")

    await stage.merge(f"{NODES}/alpha", {"spec": {"unschedulable": None}})
    await stage.phase("alpha", "Cancelled")
    await stage.report("alpha", RESIDUE, LEAK)
    node = await stage.mirrored("alpha", RESIDUE)

    assert not is_cordoned(node)
    assert len(await stage.items(REMEDIATIONS)) == 1


async def test_a_proposal_waits_for_a_person_and_goes_on_when_approved(stage: Stage) -> None:
    await stage.policy("workers", **auto(mode="Propose"))
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)

    treatment = await stage.phase("alpha", "Proposed")
    await stage.until(EVENTS, None, is_event("alpha", "RemediationProposed"))
    waiting = await stage.mirrored("alpha", LEAK)
    name = treatment["metadata"]["name"]
    await stage.merge(f"{REMEDIATIONS}/{name}", {"spec": {"decision": "Approved"}})

    await stage.cordoned("alpha")
    assert not is_cordoned(waiting)
    assert treatment["status"]["waitingFor"].startswith("Approval: a person must set")


async def test_a_rejected_proposal_leaves_the_node_alone(stage: Stage) -> None:
    await stage.policy("workers", **auto(mode="Propose"))
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    treatment = await stage.phase("alpha", "Proposed")

    name = treatment["metadata"]["name"]
    await stage.merge(f"{REMEDIATIONS}/{name}", {"spec": {"decision": "Rejected"}})
    await stage.phase("alpha", "Cancelled")
    await stage.report("alpha", RESIDUE, LEAK)
    node = await stage.mirrored("alpha", RESIDUE)

    assert not is_cordoned(node)
    assert len(await stage.items(REMEDIATIONS)) == 1


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(auto(mode="Observe"), id="the policy only observes"),
        pytest.param(auto(pauseRequests=["ann: moving racks"]), id="somebody paused the policy"),
        pytest.param(
            auto(nodeSelector={"matchLabels": {"pool": "gpu"}}), id="no policy selects the node"
        ),
        pytest.param(
            auto(rules=[{**auto()["rules"][0], "for": "1h"}]), id="it has not lasted long enough"
        ),
        pytest.param(
            auto(
                rules=[{**auto()["rules"][0], "match": {"reasons": [LEAK, "NetworkNamespaceLost"]}}]
            ),
            id="the policy names an unknown reason",
        ),
    ],
)
async def test_nothing_is_done_when(stage: Stage, spec: dict[str, object]) -> None:
    await stage.policy("workers", **spec)
    await stage.until(POLICIES, "workers", lambda one: "conditions" in one.get("status", {}))
    await stage.healthy_nodes("alpha", "beta")

    await stage.report("alpha", LEAK)
    node = await stage.mirrored("alpha", LEAK)

    assert not is_cordoned(node)
    assert await stage.items(REMEDIATIONS) == []


async def test_a_pause_that_ends_lets_everything_go_on(stage: Stage) -> None:
    await stage.policy("workers", **auto(pauseRequests=["ann: moving racks"]))
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await stage.mirrored("alpha", LEAK)

    await stage.merge(f"{POLICIES}/workers", {"spec": {"pauseRequests": []}})

    await stage.cordoned("alpha")


async def test_a_policy_that_is_deleted_gives_its_nodes_back(stage: Stage) -> None:
    await stage.policy("workers", **auto())
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await stage.cordoned("alpha")

    await stage.delete(POLICIES, "workers")

    await stage.schedulable("alpha")
    await stage.phase("alpha", "Cancelled")


async def test_a_treatment_that_is_deleted_by_hand_leaves_no_cordon_behind(stage: Stage) -> None:
    await stage.policy("workers", **auto(mode="Propose"))
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    treatment = await stage.phase("alpha", "Proposed")
    name = treatment["metadata"]["name"]
    await stage.merge(f"{REMEDIATIONS}/{name}", {"spec": {"decision": "Approved"}})
    await stage.cordoned("alpha")

    await stage.delete(REMEDIATIONS, name)

    await stage.schedulable("alpha")


async def test_the_treatment_of_a_node_that_is_deleted_ends(stage: Stage) -> None:
    await stage.policy("workers", **auto())
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await stage.cordoned("alpha")

    await stage.delete(NODES, "alpha")

    treatment = await stage.phase("alpha", "Cancelled")
    assert "alpha" in treatment["status"]["message"]


async def test_of_five_sick_nodes_two_are_treated_at_a_time(stage: Stage) -> None:
    names = [f"node-{number}" for number in range(10)]
    # Five at once would be a storm: here they are only many.
    limits = {"maxUnavailable": 2, "minHealthy": 0, "stormThreshold": 0}
    await stage.policy("workers", **auto(disruption=limits))
    await stage.healthy_nodes(*names)

    for name in names[:5]:
        await stage.report(name, LEAK)
    status = await _policy_status(stage, critical=5, inProgress=2, pending=3)
    cordoned = await _cordoned(stage)
    for name in cordoned:
        await stage.report(name)
    await _policy_status(stage, critical=3, inProgress=2, pending=1)
    later = await _cordoned(stage)

    assert len(cordoned) == 2
    assert status["remediationsAllowed"] == 0
    assert len(later) == 2
    assert not later & cordoned


async def test_nothing_is_taken_away_below_min_healthy(stage: Stage) -> None:
    names = ["alpha", "beta", "gamma", "delta"]
    await stage.policy("workers", **auto(disruption={"maxUnavailable": 4, "minHealthy": "75%"}))
    await stage.healthy_nodes(*names)

    # Two at once: with one of them cordoned first the other would be one too many as well.
    await stage.merge(f"{POLICIES}/workers", {"spec": {"pauseRequests": ["test: not yet"]}})
    await stage.report("alpha", LEAK)
    await stage.report("beta", LEAK)
    await _policy_status(stage, critical=2)
    await stage.merge(f"{POLICIES}/workers", {"spec": {"pauseRequests": []}})
    await _policy_status(stage, critical=2, pending=2)
    # One counts as pending before it is written what it waits for.
    for name in ("alpha", "beta"):
        await stage.until(REMEDIATIONS, None, _waits_for_three_of_four(name))

    assert not any(is_cordoned(one) for one in await stage.items(NODES))


async def _cordoned(stage: Stage) -> set[str]:
    """The nodes out of service; that a treatment begins is written before its node is changed."""
    for one in await stage.items(REMEDIATIONS):
        if one.get("status", {}).get("phase") == "Running":
            await stage.cordoned(one["spec"]["nodeName"])
    return {one["metadata"]["name"] for one in await stage.items(NODES) if is_cordoned(one)}


def _waits_for_three_of_four(node: str) -> Callable[[Object], bool]:
    def true(one: Object) -> bool:
        said = str(one.get("status", {}).get("waitingFor", ""))
        here = bool(one) and one["spec"]["nodeName"] == node
        return here and said.startswith("MinHealthy: at least 75%")

    return true


async def _policy_status(stage: Stage, **counts: int) -> dict[str, object]:
    policy = await stage.until(
        POLICIES,
        "workers",
        lambda one: all(
            one.get("status", {}).get(name, 0) == number for name, number in counts.items()
        ),
    )
    status: dict[str, object] = policy["status"]
    return status
