"""A node is emptied: who goes, who stays, and who stands in the way is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kernelhealth_e2e import workloads
from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.courses import CORDON, decide, rule, said, waits_for
from kernelhealth_e2e.fixtures import played
from kernelhealth_e2e.observing import Object
from kernelhealth_e2e.scene import LEAK, PODS, Scene, is_cordoned

BLOCKED_SHORTLY = {"blockedAfter": "3s", "timeout": "2m"}


@pytest.fixture(scope="module")
def drained(installed: Cluster) -> Iterator[Scene]:
    """A scene whose operator is not evicted from the only node."""
    with contextmanager(played)(installed) as scene, workloads.operator_that_stays(scene):
        yield scene


def test_a_drain_waits_for_the_budget_that_it_names_and_goes_on_when_that_is_lifted(
    drained: Scene,
) -> None:
    with emptied(drained, "Auto", {"timeout": "5m"}):
        with drained.leak("leaks"):
            held = drained.treatment("Running", lambda one: names_budget(one, "guarded"))
            before = running(drained)
            workloads.unguard(drained, "guarded")
            drained.treatment("Running", is_empty)
            after = running(drained)
            node = drained.get("node", drained.name)
        drained.treatment("Succeeded")

    assert "DisruptionBudget" in waits_for(held)
    assert [name for name in before if name.startswith("free")] == []
    assert [name for name in before if name.startswith("guarded")]
    assert after == [f"static-{drained.name}"]
    assert len(agents(drained)) == 1
    assert is_cordoned(node)


@pytest.mark.parametrize(("when", "phase"), [("Abort", "Failed"), ("Delete", "Running")])
def test_what_becomes_of_a_blocked_drain_is_for_the_policy_to_say(
    drained: Scene, when: str, phase: str
) -> None:
    drain = {"whenBlocked": when, **BLOCKED_SHORTLY}

    with emptied(drained, "Auto", drain), drained.leak("leaks"):
        over = drained.treatment(phase, lambda one: bool(finished(one)))
        left = [name for name in running(drained) if name.startswith("guarded")]
        node = drained.get("node", drained.name)

    assert bool(left) == (when == "Abort")
    assert is_cordoned(node)
    if when == "Abort":
        assert f"PodDisruptionBudget {PODS}/guarded forbids" in said(over, "drain")
        assert over["status"]["message"].startswith("RemediationFailed")


def test_the_preview_of_a_proposal_is_what_comes_of_it_once_a_person_approves(
    drained: Scene,
) -> None:
    drain = {"deleteEmptyDir": True, "timeout": "5m"}

    with emptied(drained, "Propose", drain, scratch=True):
        with drained.leak("leaks"):
            proposal = drained.treatment("Proposed", lambda one: foreseen(one).get("pods") == 2)
            untouched = running(drained), is_cordoned(drained.get("node", drained.name))
            workloads.unguard(drained, "guarded")
            decide(drained, proposal, "Approved")
            drained.treatment("Running", is_empty)
            gone = set(untouched[0]) - set(running(drained))
        ended = drained.treatment("Succeeded")

    preview = foreseen(proposal)
    assert waits_for(proposal).startswith("Approval")
    assert not untouched[1]
    assert gone == {name.removeprefix(f"{PODS}/") for name in preview["names"]}
    assert preview["forbiddenBy"] == [f"{PODS}/guarded"]
    assert len(preview["localData"]) == 1
    assert preview["localData"][0].startswith(f"{PODS}/free")
    assert ended["metadata"]["name"] == proposal["metadata"]["name"]
    assert not is_cordoned(drained.get("node", drained.name))


@contextmanager
def emptied(scene: Scene, mode: str, drain: Object, *, scratch: bool = False) -> Iterator[None]:
    """Let a policy drain a node with a guarded pod, a free one and a static one."""
    try:
        workloads.deploy(scene, "free", scratch=scratch)
        workloads.deploy(scene, "guarded")
        workloads.guard(scene, "guarded", 1)
        with workloads.static_pod(scene.cluster, "static"):
            scene.policy(mode, rules=rule(LEAK, CORDON, {"drain": drain}))
            yield
    finally:
        workloads.undeploy(scene)
        scene.clean()


def names_budget(treatment: Object, name: str) -> bool:
    return f"PodDisruptionBudget {PODS}/{name} forbids" in waits_for(treatment)


def is_empty(treatment: Object) -> bool:
    return said(treatment, "drain").startswith("no pods are left")


def finished(treatment: Object) -> str:
    (drain,) = (one for one in treatment["status"]["rungs"] if one["action"] == "drain")
    return str(drain.get("finishedAt", ""))


def foreseen(treatment: Object) -> Object:
    preview: Object = treatment["status"].get("preview") or {}
    return preview


def running(scene: Scene) -> list[str]:
    """Return the pods of the tests that are on the node, but for those that end."""
    where = (f"--namespace={PODS}", f"--field-selector=spec.nodeName={scene.name}")
    found = json.loads(scene.kubectl("get", "pods", *where, "-o", "json"))["items"]
    living = [one["metadata"] for one in found if "deletionTimestamp" not in one["metadata"]]
    return sorted(one["name"] for one in living)


def agents(scene: Scene) -> list[str]:
    labels = "--selector=app.kubernetes.io/name=kernelhealth-agent"
    found = scene.kubectl("get", "pods", "--all-namespaces", labels, "-o", "name")
    return found.split()
