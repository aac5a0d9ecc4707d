"""Who keeps the namespace of a pod that is gone: each holder is named so that one can find it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from kernelhealth_e2e import pods, processes
from kernelhealth_e2e.demo.stage import about, finding
from kernelhealth_e2e.observing import Object
from kernelhealth_e2e.scene import (
    LEAK,
    Scene,
    findings,
    is_cordoned,
    is_well,
)
from kernelhealth_e2e.scraping import Samples, scrape

CAUSES = {
    "descriptor": "HeldByDescriptor",
    "socket": "HeldBySocket",
    "mount": "HeldByMount",
    "in-flight": "HeldByKernel",
    "process": "HeldByProcess",
}
HOLDERS = {
    "descriptor": "[{}]",
    "socket": "[{}]",
    "mount": "/run/kernelhealth-fault-{}",
    "in-flight": "socket in flight",
    "process": "[{}]",
}


# All at once would make one report hard to read.
@pytest.mark.parametrize(
    "ways", [("descriptor", "mount", "process"), ("socket", "in-flight")], ids=" ".join
)
def test_whoever_holds_a_namespace_is_named_so_that_one_can_find_it(
    scene: Scene, ways: tuple[str, ...]
) -> None:
    scene.policy("Observe")
    started = {way: scene.start(f"held-by-{way}") for way in ways}
    causes = {CAUSES[way] for way in ways}

    with ExitStack() as faults:
        makers = {way: hold(scene, faults, way, pod) for way, pod in started.items()}
        for pod in started.values():
            pods.delete(scene.cluster, pod)
        health = scene.health("all are told", lambda one: set(told(one)) == causes)
    scene.health("the findings are gone", is_well)

    for way, pod in started.items():
        leak = told(health)[CAUSES[way]]
        assert leak["subject"]["pod"] == pod.title
        assert HOLDERS[way].format(makers[way]) in leak["subject"]["holder"]
        assert pod.title in leak["message"]
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


def test_a_leak_is_told_once_a_slow_kubelet_has_forgotten_the_pod(
    scene: Scene, agent_metrics: str
) -> None:
    scene.policy("Observe")
    pod = scene.start("forgotten-late")
    before = looked_again(scrape(agent_metrics))

    with remembered(scene, pod) as left, scene.leaking(pod, "descriptor"):
        # That a directory is gone is told by nothing: only looking again and again shows it.
        scene.counted(agent_metrics, "looks", lambda now: looked_again(now) >= before + 3)
        scene.cluster.node.output("umount", left)
        health = scene.health("it is told", about(LEAK, pod.title))
    scene.health("the finding is gone", is_well)

    assert told(health)["HeldByDescriptor"]["subject"]["pod"] == pod.title


def hold(scene: Scene, faults: ExitStack, way: str, pod: pods.Started) -> int:
    """Hold a pod's namespace; returns the pid of the holder as the node sees it."""
    fault = pods.fault(scene.cluster, "held_namespace", way, str(pod.pid))
    return pods.inner_pid(faults.enter_context(fault).pid)


@contextmanager
def remembered(scene: Scene, pod: pods.Started) -> Iterator[str]:
    """Keep the kubelet from forgetting a pod, until what is mounted at the place is not any more.

    It does not remove what belongs to another filesystem, nor the pod's directory then.
    """
    left = f"/var/lib/kubelet/pods/{pod.uid}/left-behind"
    scene.cluster.node.output("mkdir", left)
    scene.cluster.node.output("mount", "-t", "tmpfs", "left-behind", left)
    try:
        yield left
    finally:
        # Nothing is mounted there, unless the test has failed.
        processes.run(("umount", "--lazy", left), place=scene.cluster.node.place)


def told(health: Object) -> dict[str, Object]:
    """Return the findings of a leak by their cause."""
    return {one["cause"]: one for one in findings(health) if one["reason"] == LEAK}


def leak_of(health: Object) -> Object:
    found = finding(health, LEAK)
    assert found is not None
    return found


def looked_again(samples: Samples) -> float:
    return samples.get('kernelhealth_rounds_total{trigger="confirmation"}', 0)


def subjects(health: Object) -> int:
    found = finding(health, LEAK) or {}
    return int(found.get("count", 1)) if found else 0
