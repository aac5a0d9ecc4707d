"""Reboots as the operator asks for them; kubelets and agents are played."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernelhealth_e2e.props import (
    EVENTS,
    HEALTHS,
    LEAK,
    NODES,
    POLICIES,
    REMEDIATIONS,
    Object,
    auto,
    condition,
    is_cordoned,
    is_event,
    ready,
    reported,
)
from kernelhealth_e2e.stage import Stage
from kernelhealth_operator.cluster.call import APPLY_PATCH

EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
NOT_SCALED = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
PREPARED = "kernelhealth.io/prepared-for-reboot-by"
pytestmark = pytest.mark.usefixtures("running")


def rebooting(*actions: Object, **changes: Any) -> Object:
    rule = {"name": "leaking", "match": {"reasons": [LEAK]}, "actions": list(actions)}
    return auto(rules=[rule]) | changes


def in_hours(hours: int) -> Object:
    """A window of an hour that opens so many hours from now."""
    opening = datetime.now(UTC) + timedelta(hours=hours)
    return {"schedule": f"{opening.minute} {opening.hour} * * *", "duration": "1h"}


async def tell(stage: Stage, name: str, *reasons: str, **status: Any) -> None:
    """Plays the agent: writes a report that says this as well."""
    await stage.until(HEALTHS, name, bool)
    body = reported(name, reasons, status.pop("severity", "Critical"), next(stage.stamps))
    body["status"] |= status
    await stage.session.request(
        "PATCH",
        f"{HEALTHS}/{name}/status",
        body=body,
        content_type=APPLY_PATCH,
        field_manager="kernelhealth-agent",
        force=True,
    )


async def boots(stage: Stage, name: str, boot: str) -> None:
    """Plays the kubelet of a node that has booted anew."""
    status = ready(name)
    status["status"]["nodeInfo"]["bootID"] = boot
    await stage.merge(f"{NODES}/{name}/status", status)


async def request_for(stage: Stage, name: str) -> Object:
    health = await stage.until(HEALTHS, name, lambda one: "request" in one.get("spec", {}))
    found: Object = health["spec"]["request"]
    return found


async def waiting(stage: Stage, name: str, reason: str) -> Object:
    return await stage.until(
        REMEDIATIONS,
        None,
        lambda one: (
            bool(one)
            and one["spec"]["nodeName"] == name
            and one.get("status", {}).get("waitingFor", "").startswith(f"{reason}:")
        ),
    )


async def test_a_leaking_node_is_rebooted_and_given_back(stage: Stage) -> None:
    await stage.policy("workers", **rebooting({"cordon": {}}, {"reboot": {"when": "Now"}}))
    await stage.healthy_nodes("alpha", "beta")

    await stage.report("alpha", LEAK)
    request = await request_for(stage, "alpha")
    marked = await stage.get(NODES, "alpha")
    await stage.until(EVENTS, None, is_event("alpha", "RebootBegun"))
    await boots(stage, "alpha", "boot-2")
    await tell(stage, "alpha", bootID="boot-2")
    treatment = await stage.phase("alpha", "Succeeded")
    given_back = await stage.schedulable("alpha")
    idle = await stage.until(HEALTHS, "alpha", lambda one: "request" not in one["spec"])

    assert request["bootID"] == "boot-of-alpha"
    assert request["action"] == {"reboot": {"method": "Clean"}}
    assert marked is not None
    assert marked["metadata"]["labels"][EXCLUDED] == "true"
    assert marked["metadata"]["annotations"][NOT_SCALED] == "true"
    rungs = {one["action"]: one for one in treatment["status"]["rungs"]}
    assert rungs["reboot"]["state"] == "Done"
    assert rungs["reboot"]["requests"] == [request["id"]]
    assert "it runs boot-2" in rungs["reboot"]["message"]
    assert EXCLUDED not in given_back["metadata"].get("labels", {})
    assert not {NOT_SCALED, PREPARED} & set(given_back["metadata"].get("annotations", {}))
    assert idle["status"]["health"] == "Healthy"


async def test_a_treatment_of_nothing_but_a_reboot_succeeds_too(stage: Stage) -> None:
    await stage.policy("workers", **rebooting({"reboot": {"when": "Now"}}))
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await request_for(stage, "alpha")

    await tell(stage, "alpha", bootID="boot-2")
    await boots(stage, "alpha", "boot-2")
    treatment = await stage.phase("alpha", "Succeeded")

    node = await stage.get(NODES, "alpha")
    assert node is not None
    assert PREPARED not in node["metadata"].get("annotations", {})
    assert treatment["status"]["rungs"][0]["state"] == "Done"


async def test_a_reboot_that_does_not_help_is_in_vain(stage: Stage) -> None:
    action = {"reboot": {"when": "Now", "verifyWithin": "1s"}}
    await stage.policy("workers", **rebooting({"cordon": {}}, action))
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await request_for(stage, "alpha")

    await boots(stage, "alpha", "boot-2")
    await tell(stage, "alpha", LEAK, bootID="boot-2")
    treatment = await stage.phase("alpha", "Ineffective")

    node = await stage.get(NODES, "alpha")
    assert node is not None
    assert is_cordoned(node)
    assert treatment["status"]["message"].startswith("Ineffective: ")


async def test_before_the_window_nobody_is_asked_for_anything(stage: Stage) -> None:
    spec = rebooting({"cordon": {}}, {"reboot": {}}, maintenanceWindows=[in_hours(5)])
    await stage.policy("workers", **spec)
    await stage.healthy_nodes("alpha", "beta")

    await stage.report("alpha", LEAK)
    treatment = await waiting(stage, "alpha", "MaintenanceWindow")
    policy = await stage.until(
        POLICIES, "workers", lambda one: one.get("status", {}).get("rebootsWaiting") == 1
    )

    health = await stage.get(HEALTHS, "alpha")
    assert health is not None
    assert "request" not in health["spec"]
    assert treatment["status"]["waitingUntil"] == policy["status"]["nextWindow"]
    assert condition(policy, "WindowTooShort")["status"] == "False"
    assert policy["status"]["expectedThrough"] > policy["status"]["nextWindow"]


async def test_a_window_that_is_too_short_for_the_queue_is_told(stage: Stage) -> None:
    spec = rebooting({"reboot": {"expected": "40m"}}, maintenanceWindows=[in_hours(5)])
    spec["disruption"] = {"maxUnavailable": 1, "minHealthy": 0}
    await stage.policy("workers", **spec)
    await stage.healthy_nodes("alpha", "beta", "gamma")

    for name in ("alpha", "beta"):
        await stage.report(name, LEAK)
    policy = await stage.until(
        POLICIES, "workers", lambda one: condition(one, "WindowTooShort").get("status") == "True"
    )

    message = condition(policy, "WindowTooShort")["message"]
    assert message.startswith("2 reboots wait, 1 at once for 40m1s each, but only 1 fit")


async def test_a_node_that_is_merely_old_is_rebooted_for_that(stage: Stage) -> None:
    rule = {
        "name": "old",
        "match": {"uptime": "720h"},
        "actions": [{"cordon": {}}, {"reboot": {"when": "Now"}}],
    }
    await stage.policy("workers", **auto(rules=[rule]))
    await stage.healthy_nodes("alpha", "beta")
    long_ago = datetime.now(UTC) - timedelta(hours=721)

    await tell(stage, "alpha", bootTime=long_ago.isoformat())
    await request_for(stage, "alpha")
    await boots(stage, "alpha", "boot-2")
    await tell(stage, "alpha", bootID="boot-2", bootTime=datetime.now(UTC).isoformat())
    treatment = await stage.phase("alpha", "Succeeded")

    assert treatment["spec"]["reasons"] == ["Uptime"]
    assert treatment["status"]["evidence"][0]["message"] == "The node has been up for 721 hours."
    assert not is_cordoned(await stage.schedulable("alpha"))


async def test_the_worst_of_those_that_wait_goes_first(stage: Stage) -> None:
    spec = rebooting({"cordon": {}}, disruption={"maxUnavailable": 1, "minHealthy": 0})
    await stage.policy("workers", **spec)
    await stage.healthy_nodes("alpha", "beta", "gamma", "delta")
    await stage.report("alpha", LEAK)
    await stage.cordoned("alpha")
    await stage.report("beta", LEAK, severity="Warning")
    await waiting(stage, "beta", "MaxUnavailable")
    await stage.report("gamma", LEAK)
    await waiting(stage, "gamma", "MaxUnavailable")

    await stage.report("alpha")
    await stage.cordoned("gamma")

    beta = await stage.get(NODES, "beta")
    assert beta is not None
    assert not is_cordoned(beta)


async def test_a_node_that_kured_reboots_is_left_to_it(stage: Stage) -> None:
    await stage.policy("workers", **rebooting({"cordon": {}}, {"reboot": {"when": "Now"}}))
    await stage.healthy_nodes("alpha", "beta")
    key = "weave.works/kured-reboot-in-progress"
    await stage.merge(f"{NODES}/alpha", {"metadata": {"annotations": {key: "now"}}})

    await stage.report("alpha", LEAK)
    await waiting(stage, "alpha", "OthersAtWork")
    await stage.merge(f"{NODES}/alpha", {"metadata": {"annotations": {key: None}}})

    await request_for(stage, "alpha")


async def test_the_lock_of_kured_is_waited_for(stage: Stage) -> None:
    lock = '{"nodeID": "beta", "created": "2026-01-01T00:00:00Z"}'
    labels = {"name": "kured"}
    path = "/apis/apps/v1/namespaces/default/daemonsets"
    body = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "kured", "annotations": {"weave.works/kured-node-lock": lock}},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "kured", "image": "kured"}]},
            },
        },
    }
    await stage.post(path, body)
    try:
        action = {"reboot": {"when": "Now", "kured": "default/kured"}}
        await stage.policy("workers", **rebooting(action))
        await stage.healthy_nodes("alpha", "beta")
        await stage.report("alpha", LEAK)

        treatment = await waiting(stage, "alpha", "KuredLock")
    finally:
        await stage.delete(path, "kured")

    health = await stage.get(HEALTHS, "alpha")
    assert health is not None
    assert "request" not in health["spec"]
    assert "beta" in treatment["status"]["waitingFor"]


async def test_a_person_who_cancels_in_time_gets_the_node_back_as_it_was(stage: Stage) -> None:
    spec = rebooting({"reboot": {"when": "Now"}})
    await stage.policy("workers", **spec)
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await request_for(stage, "alpha")
    (treatment,) = await stage.items(REMEDIATIONS)

    path = f"{REMEDIATIONS}/{treatment['metadata']['name']}"
    await stage.merge(path, {"spec": {"decision": "Cancelled"}})
    await stage.phase("alpha", "Cancelled")
    health = await stage.until(HEALTHS, "alpha", lambda one: "request" not in one["spec"])

    node = await stage.get(NODES, "alpha")
    assert node is not None
    assert PREPARED not in node["metadata"].get("annotations", {})
    assert EXCLUDED not in node["metadata"].get("labels", {})
    assert health["status"]["problems"] == LEAK
