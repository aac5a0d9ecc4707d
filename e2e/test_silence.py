"""What must raise no alarm on a working node, and what a restart of the agent must not lose."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from kernelhealth_e2e import images, installation, pods
from kernelhealth_e2e.demo.stage import about, finding
from kernelhealth_e2e.observing import Object
from kernelhealth_e2e.scene import (
    LEAK,
    PODS,
    Scene,
    findings,
    is_well,
)
from kernelhealth_e2e.scraping import Samples, scrape

BURST = 200
WITHIN = f"--namespace={PODS}"
SUSPECTED = "kernelhealth_suspected{"
SECONDS = 400
COUNTED_SECONDS = 240.0
CRASHED = "{.status.containerStatuses[0].state.waiting.reason}"


def test_two_hundred_pods_that_come_and_go_leave_no_suspicion(
    scene: Scene, agent_metrics: str
) -> None:
    scene.policy("Observe", detectors={"networkNamespaces": {"confirmAfter": "10s"}})
    wanted = [pods.Wanted(PODS, f"pod-{number}") for number in range(BURST)]
    before, patient = settled(scene, agent_metrics), replace(scene, seconds=COUNTED_SECONDS)

    with scene.observer.record("nodekernelhealth", scene.name) as recording:
        pods.create(scene.cluster, *wanted)
        await_all(scene, "wait", "--for=condition=Ready", "pod")
        during = patient.counted(agent_metrics, "all namespaces", has_seen(before, BURST))
        await_all(scene, "delete", "pod", "--wait", "--grace-period=1")
        after = patient.counted(agent_metrics, "nothing is left", is_back(before))
        reports = recording.versions()

    assert namespaces(during) >= namespaces(before) + BURST
    assert namespaces(after) <= namespaces(before)
    assert reports
    assert [one for one in reports if findings(one)] == []
    assert is_well(scene.get("nodekernelhealth", scene.name))


def test_unusual_pods_are_no_finding(scene: Scene, agent_metrics: str) -> None:
    scene.policy("Observe", detectors={"networkNamespaces": {"confirmAfter": "3s"}})
    before, agent = settled(scene, agent_metrics), images.AGENT.name
    unusual = (
        pods.Wanted(PODS, "host-network", host_network=True),
        pods.Wanted(PODS, "completes", image=agent, arguments=("--version",), restart="Never"),
        pods.Wanted(PODS, "crashes", image=agent, arguments=("no-such-command",)),
        pods.Wanted(PODS, "privileged", privileged=True),
    )

    with scene.observer.record("nodekernelhealth", scene.name) as recording:
        pods.create(scene.cluster, *unusual)
        await_pod(scene, "host-network", "condition=Ready")
        await_pod(scene, "completes", "jsonpath={.status.phase}=Succeeded")
        await_pod(scene, "crashes", f"jsonpath={CRASHED}=CrashLoopBackOff")
        scene.counted(agent_metrics, "a look without suspicion", looked_since(before))
        await_all(scene, "delete", "pod", "--wait", "--grace-period=1")
        scene.counted(agent_metrics, "nothing is left", is_back(before))
        reports = recording.versions()

    assert reports
    assert [one for one in reports if findings(one)] == []


def test_a_restart_of_the_agent_neither_loses_nor_renews_a_finding(
    scene: Scene, agent_metrics: str
) -> None:
    scene.policy("Observe")
    pod, looks = scene.start("outlives-the-agent"), rounds(scrape(agent_metrics))
    # Looks are rationed after a burst, and who was never seen alive has no name.
    scene.counted(agent_metrics, "a look at the pod", lambda now: rounds(now) >= looks + 2)

    with scene.leaking(pod):
        found = scene.health("the pod is named", about(LEAK, pod.title))
        with scene.observer.record("nodekernelhealth", scene.name) as recording:
            started = restart_agent(scene)
            again = scene.health("a report of the new agent", reported_after(started))
            reports = recording.versions()
    scene.health("the finding is gone", is_well)

    assert since(again) == since(found)
    assert [finding(one, LEAK) for one in reports if not about(LEAK, pod.title)(one)] == []


def test_a_restart_of_the_agent_on_a_healthy_node_invents_nothing(scene: Scene) -> None:
    scene.policy("Observe", detectors={"networkNamespaces": {"confirmAfter": "3s"}})
    scene.start("lives-on")

    with scene.observer.record("nodekernelhealth", scene.name) as recording:
        started = restart_agent(scene)
        scene.health("a report of the new agent", reported_after(started))
        reports = recording.versions()

    assert [one for one in reports if not is_well(one)] == []


def await_all(scene: Scene, command: str, *arguments: str) -> None:
    """Do something with all pods of the burst, and wait until it is done."""
    limit = f"--timeout={SECONDS}s"
    scene.cluster.kubectl(command, *arguments, "--all", WITHIN, limit, seconds=SECONDS + 10)


def await_pod(scene: Scene, name: str, what: str) -> None:
    scene.kubectl("wait", f"--for={what}", f"pod/{name}", WITHIN, "--timeout=80s")


def settled(scene: Scene, agent_metrics: str) -> Samples:
    """Wait until nothing of an earlier test is left: there are as many namespaces as pods."""
    listed = json.loads(scene.kubectl("get", "pods", "--all-namespaces", "--output=json"))["items"]
    here = [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]
    here = [pod for pod in here if pod["status"]["phase"] in {"Pending", "Running"}]
    wanted = sum(not pod["spec"].get("hostNetwork") for pod in here)
    return scene.counted(agent_metrics, "a settled node", lambda now: namespaces(now) == wanted)


def namespaces(samples: Samples) -> float:
    """Return how many network namespaces the node has beside its own; a count of its pods."""
    # Missing while nobody has looked: no comparison with it is true.
    return samples.get('kernelhealth_network_namespaces{view="nsid"}', math.nan)


def suspicions(samples: Samples) -> float:
    return sum(samples[name] for name in samples if name.startswith(SUSPECTED))


def rounds(samples: Samples) -> float:
    return samples.get('kernelhealth_rounds_total{trigger="period"}', 0)


def has_seen(before: Samples, more: int) -> Callable[[Samples], bool]:
    return lambda samples: namespaces(samples) >= namespaces(before) + more


def is_back(before: Samples) -> Callable[[Samples], bool]:
    return lambda samples: namespaces(samples) <= namespaces(before) and not suspicions(samples)


def looked_since(before: Samples) -> Callable[[Samples], bool]:
    return lambda samples: rounds(samples) > rounds(before) and not suspicions(samples)


def restart_agent(scene: Scene) -> datetime:
    """Delete the agent's pod, and return when it was gone; the DaemonSet makes another."""
    label = "--selector=app.kubernetes.io/name=kernelhealth-agent"
    scene.kubectl("delete", "pod", label, f"--namespace={installation.NAMESPACE}", "--wait")
    # The report's time has no fraction of a second.
    return datetime.now(UTC).replace(microsecond=0)


def reported_after(moment: datetime) -> Callable[[Object], bool]:
    return lambda health: datetime.fromisoformat(health["status"]["lastReportTime"]) >= moment


def since(health: Object) -> str:
    found = finding(health, LEAK)
    assert found is not None
    return str(found["since"])
