"""What happens while the API server is away or an operator dies: nothing is lost, nothing stuck."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from kernelhealth_e2e import installation, pods, processes
from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.demo.stage import about
from kernelhealth_e2e.observing import Object
from kernelhealth_e2e.scene import (
    AGENT_METRICS,
    LEAK,
    Scene,
    findings,
    is_cordoned,
    is_done,
    is_well,
    owner,
)
from kernelhealth_e2e.scraping import Samples

WHERE = f"--namespace={installation.NAMESPACE}"
LEASE = "kernelhealth-operator"


def test_what_changes_while_the_api_server_is_away_is_reported_and_treated_afterwards(
    scene: Scene,
) -> None:
    scene.policy("Auto")
    metrics, pod = scene.cluster.publish(AGENT_METRICS), scene.start("unnoticed")

    with ExitStack() as away:
        with pods.fault(scene.cluster, "held_namespace", "in-flight", str(pod.pid)):
            end_without_waiting(scene, pod)
            with outage(scene.cluster):
                scene.counted(metrics, "confirmed without an API server", counts_a_leak)
            health = scene.health("the pod is named", about(LEAK, pod.title))
            cordoned = scene.node("cordoned by us", lambda node: bool(owner(node)))
            away.enter_context(outage(scene.cluster))
        scene.counted(metrics, "well again without an API server", counts_no_leak)
    scene.health("the finding is gone", is_well)
    ended = scene.treatment("Succeeded")

    assert len(findings(health)) == 1
    assert owner(cordoned) == ended["metadata"]["name"]
    assert not is_cordoned(scene.get("node", scene.name))


def test_when_the_leader_dies_the_other_operator_finishes_the_treatment(scene: Scene) -> None:
    scene.policy("Auto")

    with scene.leak("inherited"):
        begun = scene.treatment("Running", is_done)
        leader = leader_of(scene)
        scene.kubectl("delete", "pod", leader, WHERE, "--force", "--grace-period=0")
        # Its process goes on for a moment: it could still finish what it began.
        system = replace(scene.observer, namespace=installation.NAMESPACE)
        heir = partial(is_led_by_another, leader)
        led = system.wait("lease", LEASE, "another leader", heir, scene.seconds)
    ended = scene.treatment("Succeeded")
    successor = holder_of(led)
    installation.await_ready(scene.cluster)

    assert ended["metadata"]["uid"] == begun["metadata"]["uid"]
    assert successor != leader
    assert not is_cordoned(scene.get("node", scene.name))


def test_the_kubelet_restarts_and_nothing_is_found(scene: Scene) -> None:
    scene.policy("Observe", detectors={"networkNamespaces": {"confirmAfter": "3s"}})
    scene.start("steady")

    with scene.observer.record("nodekernelhealth", scene.name) as recording:
        scene.cluster.node.stop_kubelet()
        scene.cluster.node.start_kubelet()
        scene.start("later")
        reports = recording.versions()

    assert reports
    assert [one for one in reports if findings(one)] == []


@contextmanager
def outage(cluster: Cluster) -> Iterator[None]:
    """Be without an API server."""
    cluster.control_plane.stop_apiserver()
    try:
        yield
    finally:
        cluster.control_plane.start_apiserver()


def end_without_waiting(scene: Scene, pod: pods.Started) -> None:
    """Delete a pod, and wait for the end of its sandbox only: not for the kubelet to say so."""
    descriptor = os.pidfd_open(scene.cluster.node.pod_pids(pod.uid)[0])
    try:
        scene.kubectl("delete", "pod", pod.name, f"--namespace={pod.namespace}", "--wait=false")
        assert processes.has_ended(descriptor, 60)
    finally:
        os.close(descriptor)


def leader_of(scene: Scene) -> str:
    """Return the pod of the operator that leads."""
    return holder_of(scene.get("lease", LEASE, WHERE))


def holder_of(lease: Object) -> str:
    """Return the pod that has a lease; empty where it was given up."""
    return str(lease["spec"].get("holderIdentity") or "").partition("_")[0]


def is_led_by_another(leader: str, lease: Object) -> bool:
    return holder_of(lease) not in {"", leader}


def leaks(samples: Samples) -> float:
    series = f'kernelhealth_findings{{reason="{LEAK}"'
    return sum(value for name, value in samples.items() if name.startswith(series))


def counts_a_leak(samples: Samples) -> bool:
    return leaks(samples) == 1


def counts_no_leak(samples: Samples) -> bool:
    return leaks(samples) == 0
