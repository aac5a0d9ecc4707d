"""A node is emptied: who goes, what stands in the way, and what is left when it fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kernelhealth_e2e import tenants
from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.errors import ProcessError
from kernelhealth_e2e.operators import operator
from kernelhealth_e2e.props import (
    EVENTS,
    LEAK,
    NODES,
    REMEDIATIONS,
    Object,
    auto,
    is_cordoned,
    is_event,
)
from kernelhealth_e2e.stage import Stage
from kernelhealth_e2e.tenants import Tenant
from kernelhealth_operator.policy import leaving, pods

MIXED = (
    Tenant("plain"),
    Tenant("sick", ready=False),
    Tenant("bare", owner=""),
    Tenant("scratch", scratch=True),
    Tenant("bare-scratch", owner="", scratch=True),
    Tenant("done", owner="", phase="Succeeded", scratch=True),
    Tenant("waiting", phase="Pending"),
    Tenant("agent", owner="DaemonSet"),
    Tenant("agent-scratch", owner="DaemonSet", scratch=True),
    Tenant("agent-failed", owner="DaemonSet", phase="Failed"),
    Tenant("static", mirror=True),
    Tenant("set", owner="StatefulSet"),
)
REFUSED = re.compile(r"with 403\b|[Ff]orbidden")
EVICTED = re.compile(r"^evicting pod shop/(\S+)", re.MULTILINE)


@pytest_asyncio.fixture(autouse=True)
async def shop(stage: Stage) -> AsyncIterator[None]:
    await tenants.open_shop(stage)
    yield
    await tenants.close_shop(stage)


def ladder(mode: str = "Auto", **drain: Any) -> Object:
    rule = {
        "name": "leaking",
        "match": {"reasons": [LEAK]},
        "actions": [{"cordon": {}}, {"drain": drain}],
    }
    return auto(mode=mode, rules=[rule])


async def test_exactly_those_pods_go_that_kubectl_drain_sends_away(
    account: Path, plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.node("alpha")
    await tenants.daemon_set(stage, "owner")
    await tenants.move_in(stage, "alpha", *MIXED)
    flags = ("--ignore-daemonsets", "--force", "--delete-emptydir-data")
    said = plane.kubectl("drain", "alpha", *flags, "--dry-run=server")
    theirs = set(EVICTED.findall(said))
    await stage.policy("workers", **ladder(force=True, deleteEmptyDir=True))

    with operator(account, tmp_path, namespace="kernelhealth-system") as running:
        await stage.healthy_nodes("beta")
        await stage.report("alpha", LEAK)
        await asyncio.gather(*(_ended(stage, name) for name in theirs))
        await rung(stage, "Done")
        log = running.log()

    assert await tenants.names(stage) == {each.name for each in MIXED} - theirs
    assert theirs == {each.name for each in MIXED} - {"agent", "agent-scratch", "static"}
    assert not REFUSED.search(log)


async def test_what_kubectl_drain_refuses_without_a_flag_is_refused_here(
    plane: ControlPlane, stage: Stage
) -> None:
    await stage.node("alpha")
    await tenants.daemon_set(stage, "owner")
    await tenants.move_in(stage, "alpha", *MIXED)
    path = pods.path("alpha", exact=True)
    found = leaving.household("alpha", {path: await stage.session.request("GET", path)})
    force, scratch = "--force", "--delete-emptydir-data"

    lost = {each.name for each in found.scratch()}
    bare = {each.name for each in found.uncontrolled()}

    assert _refused(plane) == lost | bare == {"bare", "scratch", "bare-scratch"}
    assert _refused(plane, force) == lost
    assert _refused(plane, scratch) == bare
    assert _refused(plane, force, scratch) == set()


@pytest.mark.usefixtures("running")
async def test_a_budget_is_waited_for_by_name_and_the_drain_goes_on_when_it_allows(
    stage: Stage,
) -> None:
    await tenants.budget(stage, "web", allowed=0)
    await stage.policy("workers", **ladder())
    await stage.healthy_nodes("alpha", "beta")
    await tenants.move_in(stage, "alpha", Tenant("one"), Tenant("other", labels={}))
    await stage.report("alpha", LEAK)

    await _ended(stage, "other")
    blocked = await waiting(stage, "DisruptionBudget")
    still = await tenants.names(stage)
    await tenants.allow(stage, "web", 1)
    await _ended(stage, "one")
    await rung(stage, "Done")
    await stage.report("alpha")

    assert "PodDisruptionBudget shop/web forbids to evict shop/one" in blocked
    assert still == {"one"}
    await stage.phase("alpha", "Succeeded")
    await stage.schedulable("alpha")


async def test_an_operator_that_was_killed_is_followed_by_one_that_goes_on(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.policy("workers", **ladder(atOnce=1))
    with operator(plane.kubeconfig, tmp_path, "one") as first:
        await stage.healthy_nodes("alpha", "beta")
        await tenants.move_in(stage, "alpha", Tenant("a"), Tenant("b"))
        await stage.report("alpha", LEAK)
        await tenants.leaving(stage, "a")
        first.kill()
    spared = await stage.get(tenants.PODS, "b")

    with operator(plane.kubeconfig, tmp_path, "two"):
        await tenants.gone(stage, "a")
        await _ended(stage, "b")
        await rung(stage, "Done")

    assert spared is not None
    assert "deletionTimestamp" not in spared["metadata"]


@pytest.mark.usefixtures("running")
async def test_a_proposal_tells_what_would_come_of_it_and_touches_nothing(stage: Stage) -> None:
    await tenants.budget(stage, "web", allowed=0)
    await stage.policy("workers", **ladder("Propose"))
    await stage.healthy_nodes("alpha", "beta")
    await tenants.daemon_set(stage, "owner")
    await tenants.move_in(stage, "alpha", *MIXED)
    allocatable = {"cpu": "2", "memory": "192Mi", "pods": "110"}
    await stage.merge(f"{NODES}/beta/status", {"status": {"allocatable": allocatable}})
    # The server taints every new Node, which a controller takes back when it is ready.
    await stage.merge(f"{NODES}/beta", {"spec": {"taints": None}})

    await stage.report("alpha", LEAK)
    treatment = await stage.until(
        REMEDIATIONS, None, lambda one: "preview" in one.get("status", {})
    )

    preview = treatment["status"]["preview"]
    assert treatment["status"]["waitingFor"].startswith("Approval: ")
    assert preview["pods"] == 9
    assert preview["staying"] == 3
    assert preview["forbiddenBy"] == ["shop/web"]
    assert set(preview["localData"]) == {"shop/scratch", "shop/bare-scratch"}
    assert set(preview["uncontrolled"]) == {"shop/bare", "shop/bare-scratch"}
    assert (preview["cpu"], preview["memory"]) == ("1750m", "448Mi")
    assert (preview["nodesAvailable"], preview["nodesLookedAt"]) == (1, 1)
    assert (preview["freeCpu"], preview["freeMemory"]) == ("2", "192Mi")
    assert len(preview["withoutRoom"]) == 5 - 3
    assert await tenants.names(stage) == {each.name for each in MIXED}


@pytest.mark.usefixtures("running")
async def test_a_drain_that_is_aborted_ends_the_treatment_and_leaves_the_node_cordoned(
    stage: Stage,
) -> None:
    await tenants.budget(stage, "web", allowed=0)
    await stage.policy("workers", **ladder(whenBlocked="Abort", blockedAfter="1s"))
    await stage.healthy_nodes("alpha", "beta")
    await tenants.move_in(stage, "alpha", Tenant("one"))
    await stage.report("alpha", LEAK)

    treatment = await stage.phase("alpha", "Failed")
    await stage.until(EVENTS, None, is_event("alpha", "RemediationFailed"))
    node = await stage.get(NODES, "alpha")
    await stage.report("alpha")

    assert node is not None
    assert is_cordoned(node)
    assert "shop/web" in treatment["status"]["message"]
    assert await tenants.names(stage) == {"one"}
    await stage.schedulable("alpha")


@pytest.mark.usefixtures("running")
async def test_whom_a_budget_forbids_for_long_is_deleted_where_the_policy_says_so(
    stage: Stage,
) -> None:
    await tenants.budget(stage, "web", allowed=0)
    await stage.policy("workers", **ladder(whenBlocked="Delete", blockedAfter="1s"))
    await stage.healthy_nodes("alpha", "beta")
    await tenants.move_in(stage, "alpha", Tenant("one"))

    await stage.report("alpha", LEAK)
    await _ended(stage, "one")

    await rung(stage, "Done")


@pytest.mark.usefixtures("running")
async def test_a_pod_with_two_budgets_keeps_nobody_else_and_is_named_in_the_end(
    stage: Stage,
) -> None:
    await tenants.budget(stage, "web", allowed=1)
    await tenants.budget(stage, "all", allowed=1)
    await stage.policy("workers", **ladder(timeout="20s"))
    await stage.healthy_nodes("alpha", "beta")
    await tenants.move_in(stage, "alpha", Tenant("two"), Tenant("free", labels={}))

    await stage.report("alpha", LEAK)
    await _ended(stage, "free")

    treatment = await stage.phase("alpha", "Failed")
    assert "after 20s, shop/two are left" in treatment["status"]["message"]
    assert "for having more than one budget" in treatment["status"]["message"]


async def rung(stage: Stage, state: str) -> Object:
    """Waits until the drain is in *state*."""

    def drained(one: Object) -> bool:
        rungs = one.get("status", {}).get("rungs", [])
        return any((each["action"], each["state"]) == ("drain", state) for each in rungs)

    return await stage.until(REMEDIATIONS, None, drained)


async def waiting(stage: Stage, reason: str) -> str:
    """Waits until the treatment waits for that, and returns the sentence."""
    one = await stage.until(
        REMEDIATIONS,
        None,
        lambda one: str(one.get("status", {}).get("waitingFor")).startswith(f"{reason}: "),
    )
    return str(one["status"]["waitingFor"])


async def _ended(stage: Stage, name: str) -> None:
    found = await stage.get(tenants.PODS, name)
    if found is not None and found["status"].get("phase") not in {"Succeeded", "Failed"}:
        await tenants.leaving(stage, name)
        await tenants.gone(stage, name)


def _refused(plane: ControlPlane, *flags: str) -> set[str]:
    """The pods for whose sake kubectl does not begin."""
    try:
        plane.kubectl("drain", "alpha", "--ignore-daemonsets", "--dry-run=server", *flags)
    except ProcessError as error:
        return set(re.findall(r"shop/([a-z-]+)", str(error).partition("cannot delete")[2]))
    return set()
