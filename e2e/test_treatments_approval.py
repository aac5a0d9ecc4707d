"""What people say by kubectl is final: cancelled by uncordon, and let be for the cool-down."""

from __future__ import annotations

from datetime import datetime, timedelta

from kernelhealth_e2e.courses import CORDON, decide, rule
from kernelhealth_e2e.observing import Object
from kernelhealth_e2e.scene import LEAK, Scene, is_cordoned, owner

COOL_DOWN = timedelta(seconds=8)


def test_an_uncordon_by_a_person_cancels_and_the_node_is_let_be_for_the_cool_down(
    scene: Scene,
) -> None:
    recovery = {"healthyDelay": "1s", "coolDown": f"{COOL_DOWN.seconds}s"}
    scene.policy("Auto", rules=rule(LEAK, CORDON), recovery=recovery)

    with scene.leak("overruled"):
        scene.node("cordoned by us", lambda one: bool(owner(one)))
        scene.kubectl("uncordon", scene.name)
        cancelled = scene.treatment("Cancelled")
        free = scene.node("our mark is gone", lambda one: not owner(one))
        again = scene.observer.wait(
            "noderemediations", "", "the next one", lambda one: is_other(one, cancelled), 90
        )

    assert "Overruled" in cancelled["status"]["message"]
    assert not is_cordoned(free)
    begun = moment(again["metadata"]["creationTimestamp"])
    assert begun - moment(cancelled["status"]["finishedAt"]) >= COOL_DOWN - timedelta(seconds=1)


def test_a_rejected_proposal_touches_nothing_and_is_not_made_again(scene: Scene) -> None:
    scene.policy("Propose", rules=rule(LEAK, CORDON, {"reclaim": {}}))

    with scene.leak("rejected", "mount"), scene.observer.record("node", scene.name) as nodes:
        proposal = scene.treatment("Proposed")
        decide(scene, proposal, "Rejected")
        ended = scene.treatment("Cancelled")
        versions = nodes.versions()

    assert ended["metadata"]["uid"] == proposal["metadata"]["uid"]
    assert [one for one in versions if is_cordoned(one)] == []
    assert scene.names("noderemediations") == [proposal["metadata"]["name"]]


def test_one_patch_approves_a_proposal_and_the_agent_cures_the_node(scene: Scene) -> None:
    scene.policy("Propose", rules=rule(LEAK, CORDON, {"reclaim": {}}))

    with scene.leak("approved", "mount"):
        proposal = scene.treatment("Proposed")
        before = scene.get("node", scene.name)
        decide(scene, proposal, "Approved")
        ended = scene.treatment("Succeeded")
        node = scene.get("node", scene.name)

    assert ended["metadata"]["uid"] == proposal["metadata"]["uid"]
    assert not is_cordoned(before)
    assert [one["state"] for one in ended["status"]["rungs"]] == ["Reverted", "Done"]
    assert not is_cordoned(node)


def is_other(treatment: Object, than: Object) -> bool:
    return bool(treatment["metadata"]["uid"] != than["metadata"]["uid"])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
