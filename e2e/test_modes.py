"""How far the operator goes: not at all, only when asked, and never against a person."""

from __future__ import annotations

import json

from kernelhealth_e2e import pods
from kernelhealth_e2e.demo.stage import about, condition
from kernelhealth_e2e.observing import Object
from kernelhealth_e2e.scene import (
    CONDITION,
    LEAK,
    POLICY,
    Scene,
    is_cordoned,
    is_done,
    is_well,
    owner,
)


def test_a_policy_that_observes_reports_the_leak_and_touches_nothing(scene: Scene) -> None:
    scene.policy("Observe")

    with scene.leak("observed") as pod:
        scene.health("the pod is named", about(LEAK, pod.title))
        node = scene.node("the condition is mirrored", is_unwell)
        counted = scene.observer.wait(
            "kernelhealthpolicy", POLICY, "the node is counted", counts_a_warning, 60
        )
    after = scene.node("the condition is well again", lambda one: not is_unwell(one))

    assert counted["status"]["nodes"] == 1
    assert not is_cordoned(node)
    assert not is_cordoned(after)
    assert scene.names("noderemediations") == []


def test_without_any_policy_a_trap_is_reported_and_nothing_is_touched(scene: Scene) -> None:
    pod = pods.start(scene.cluster, pods.Wanted("shop", "gateway", privileged=True))

    with pods.fault(scene.cluster, "suppress_prefix", "--pid", str(pod.pid)):
        # Nothing tells of rules and filters: they are looked at when it is their time.
        found = scene.health("the trap is named", about("SuppressPrefixTrap", pod.title))
    pods.delete(scene.cluster, pod)
    scene.health("the trap is gone", is_well)

    assert "policy" not in found.get("spec", {})
    assert not is_cordoned(scene.get("node", scene.name))
    assert scene.names("noderemediations") == []


def test_a_proposal_waits_until_a_person_approves_it(scene: Scene) -> None:
    scene.policy("Propose")

    with scene.leak("proposed"):
        proposal = scene.treatment("Proposed", lambda one: bool(waits_for(one)))
        before = scene.get("node", scene.name)
        decide(scene, proposal, "Approved")
        after = scene.node("cordoned by us", lambda one: bool(owner(one)))
    scene.treatment("Succeeded")

    assert waits_for(proposal).startswith("Approval")
    assert not is_cordoned(before)
    assert owner(after) == proposal["metadata"]["name"]
    assert not is_cordoned(scene.get("node", scene.name))


def test_a_proposal_that_a_person_rejects_is_dropped(scene: Scene) -> None:
    scene.policy("Propose")

    with scene.leak("rejected"):
        proposal = scene.treatment("Proposed")
        decide(scene, proposal, "Rejected")
        scene.treatment("Cancelled")

    assert not is_cordoned(scene.get("node", scene.name))
    assert scene.names("noderemediations") == [proposal["metadata"]["name"]]


def test_the_cordon_of_somebody_else_stays_when_the_leak_has_gone(scene: Scene) -> None:
    scene.policy("Auto")
    pod = scene.start("serviced")
    scene.kubectl("cordon", scene.name)

    with scene.leaking(pod):
        during = scene.treatment("Running", is_done)
    scene.treatment("Succeeded")
    node = scene.get("node", scene.name)

    assert during["status"]["wasUnschedulable"]
    assert is_cordoned(node)
    assert owner(node) == ""


def test_a_person_who_uncordons_ends_the_treatment_and_is_not_contradicted(scene: Scene) -> None:
    scene.policy("Auto")

    with scene.leak("overruled"):
        scene.node("cordoned by us", lambda one: bool(owner(one)))
        scene.kubectl("uncordon", scene.name)
        ended = scene.treatment("Cancelled")
        freed = scene.node("our mark is gone", lambda one: not owner(one))
    scene.node("the condition is well again", lambda one: not is_unwell(one))

    assert "Overruled" in ended["status"]["message"]
    assert not is_cordoned(freed)
    assert not is_cordoned(scene.get("node", scene.name))
    assert scene.names("noderemediations") == [ended["metadata"]["name"]]


def test_a_paused_policy_neither_cordons_nor_gives_back(scene: Scene) -> None:
    scene.policy("Auto", pauseRequests=["network-team: until the switch is replaced"])

    with scene.leak("paused"):
        node = scene.node("the condition is mirrored", is_unwell)
        untouched = not is_cordoned(node) and scene.names("noderemediations") == []
        pause(scene, [])
        scene.treatment("Running", is_done)
        pause(scene, ["storage-team: until Friday"])
        held = scene.treatment("Running", lambda one: waits_for(one).startswith("Paused"))
    scene.node("the condition is well again", lambda one: not is_unwell(one))
    still = scene.get("node", scene.name)
    pause(scene, [])
    scene.treatment("Succeeded")

    assert untouched
    assert "storage-team" in waits_for(held)
    assert is_cordoned(still)
    assert not is_cordoned(scene.get("node", scene.name))


def is_unwell(node: Object) -> bool:
    return bool(condition(node, CONDITION).get("status") == "False")


def counts_a_warning(policy: Object) -> bool:
    return bool(policy.get("status", {}).get("warning") == 1)


def waits_for(treatment: Object) -> str:
    return str(treatment["status"].get("waitingFor", ""))


def decide(scene: Scene, treatment: Object, decision: str) -> None:
    patch = json.dumps({"spec": {"decision": decision}})
    name = treatment["metadata"]["name"]
    scene.kubectl("patch", "nr", name, "--type=merge", f"--patch={patch}")


def pause(scene: Scene, requests: list[str]) -> None:
    patch = json.dumps({"spec": {"pauseRequests": requests}})
    scene.kubectl("patch", "khp", POLICY, "--type=merge", f"--patch={patch}")
