"""Who keeps the namespace of a pod that is gone: each holder is named so that one can find it."""

from __future__ import annotations

import pytest

from kernelhealth_e2e import pods
from kernelhealth_e2e.demo.stage import about, finding
from kernelhealth_e2e.observing import Object
from kernelhealth_e2e.scene import LEAK, Scene, is_cordoned, is_well


@pytest.mark.parametrize(
    ("way", "cause"),
    [
        ("descriptor", "HeldByDescriptor"),
        ("socket", "HeldBySocket"),
    ],
)
def test_the_process_that_holds_a_namespace_is_named(scene: Scene, way: str, cause: str) -> None:
    scene.policy("Observe")
    pod = scene.start(f"held-by-{way}")

    with pods.fault(scene.cluster, "held_namespace", way, str(pod.pid)) as maker:
        holder = f"[{pods.inner_pid(maker.pid)}]"
        pods.delete(scene.cluster, pod)
        health = scene.health("the pod is named", about(LEAK, pod.title))
    scene.health("the finding is gone", is_well)

    assert leak_of(health)["cause"] == cause
    assert holder in leak_of(health)["subject"]["holder"]
    assert holder in leak_of(health)["message"]


def test_a_forgotten_mount_is_named_with_its_place(scene: Scene) -> None:
    scene.policy("Observe")
    pod = scene.start("held-by-mount")

    with pods.fault(scene.cluster, "held_namespace", "mount", str(pod.pid)) as maker:
        place = f"/run/kernelhealth-fault-{pods.inner_pid(maker.pid)}"
        pods.delete(scene.cluster, pod)
        health = scene.health("the pod is named", about(LEAK, pod.title))
    scene.health("the finding is gone", is_well)

    assert leak_of(health)["cause"] == "HeldByMount"
    assert place in leak_of(health)["subject"]["holder"]
    assert place in leak_of(health)["message"]
    assert not is_cordoned(scene.get("node", scene.name))


def test_two_leaks_at_once_are_told_apart_and_end_one_by_one(scene: Scene) -> None:
    scene.policy("Observe")

    with scene.leak("first") as first:
        scene.health("the first is named", about(LEAK, first.title))
        with scene.leak("second"):
            both = scene.health("both are counted", lambda one: subjects(one) == 2)
        one = scene.health("one is left", lambda one: subjects(one) == 1)
    scene.health("the finding is gone", is_well)

    assert f"{LEAK} x2" in both["status"]["problems"]
    assert leak_of(one)["subject"]["pod"] == first.title


def leak_of(health: Object) -> Object:
    found = finding(health, LEAK)
    assert found is not None
    return found


def subjects(health: Object) -> int:
    found = finding(health, LEAK) or {}
    return int(found.get("count", 1)) if found else 0
