"""A node with a kernel of its own: what a gssproxy pod leaks there is cured, twice, for real.

Once by a reboot in a maintenance window, once without any reboot by the catalogue's cures. No such
thing could be done to the machine that runs the tests, and the last test shows that it cannot be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from kernelhealth_e2e import installation, provision
from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.demo.stage import about, finding
from kernelhealth_e2e.errors import UnavailableError
from kernelhealth_e2e.observing import Object
from kernelhealth_e2e.scene import LEAK, Scene, is_cordoned, is_well, owner
from kernelhealth_e2e.vm import kernel
from kernelhealth_e2e.vm.installation import AGENT, installed_on
from kernelhealth_e2e.vm.node import LABEL, LABELLED, Settings, VirtualNode, boot_id, is_ready
from kernelhealth_e2e.vm.workload import gssproxy_pod

CAUSE, USED = "GssProxyPin", "UseGssProxyInContainer"
MODULE = "auth_rpcgss"
WHERE = f"--namespace={installation.NAMESPACE}"
RULE = {"name": "pinned", "match": {"causes": [CAUSE], "reasons": [LEAK]}}
ALWAYS_OPEN = [{"schedule": "* * * * *", "duration": "30m"}]
OF_LAB = "app.kubernetes.io/instance=lab"
BLOCKED_BY = f"/host/etc/modprobe.d/kernelhealth-{MODULE}.conf"
SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Case:
    """A leak on the virtual node, from the pod that causes it to the node's return."""

    pod: str
    warned: Object
    found: Object
    links: list[str]
    cordoned: Object
    treatment: Object
    before: Object
    after: Object
    modules: str
    links_left: list[str]


@pytest.fixture(scope="module")
def virtual(installed: Cluster) -> Iterator[Scene]:
    """The installed software on a second node, which is a virtual machine and well."""
    settings = installed.settings
    try:
        provision.for_virtual_machines(settings.progress)
        stock = kernel.debian(settings.cache, settings.progress)
    except UnavailableError as reason:
        pytest.skip(str(reason))
    wanted = Settings(stock, cni="lazy-ptp", modules=(MODULE,))
    with VirtualNode(installed, wanted) as node, installed_on(node):
        scene = Scene(installed, node.observer, node.name)
        scene.health("a healthy node", is_well)
        yield scene


@pytest.fixture(scope="module")
def rebooted(virtual: Scene) -> Case:
    """A leak that the policy cures by a reboot, in a window that is open."""
    reboot = {"reboot": {"when": "MaintenanceWindow", "expected": "5m"}}
    return played(virtual, "ticket-1", [{"cordon": {}}, reboot])


@pytest.fixture(scope="module")
def reclaimed(virtual: Scene, rebooted: Case) -> Case:
    """A leak that the policy cures without one; on the node that was given back before."""
    assert not is_cordoned(rebooted.after)
    stop = {"fixConfig": {"verifyWithin": "1s"}}  # It frees nothing: there is no use in waiting.
    return played(virtual, "ticket-2", [{"cordon": {}}, stop, {"reclaim": {}}])


def test_the_living_pod_is_warned_of(rebooted: Case) -> None:
    warned = finding(rebooted.warned, USED)

    assert warned is not None
    assert warned["cause"] == CAUSE
    assert warned["subject"]["pod"] == rebooted.pod


def test_the_leak_of_the_deleted_pod_is_named_with_pod_and_cause(rebooted: Case) -> None:
    leak = finding(rebooted.found, LEAK)

    assert leak is not None
    assert leak["cause"] == CAUSE
    assert leak["subject"]["pod"] == rebooted.pod
    assert [link for link in rebooted.links if link.startswith("veth")]


def test_the_machine_boots_anew_and_is_given_back(rebooted: Case) -> None:
    cordon, reboot = rebooted.treatment["status"]["rungs"]

    assert cordon["state"] == "Reverted"
    assert [name for name in reboot["requests"] if not name.endswith("-forced")]
    assert boot_id(rebooted.after) != boot_id(rebooted.before)
    assert rebooted.treatment["spec"]["bootID"] == boot_id(rebooted.before)
    assert rebooted.links_left == ["eth0", "lo"]
    assert MODULE in rebooted.modules


def test_a_leak_is_cured_without_a_reboot(reclaimed: Case) -> None:
    states = [rung["state"] for rung in reclaimed.treatment["status"]["rungs"]]

    assert finding(reclaimed.found, LEAK) is not None
    assert is_cordoned(reclaimed.cordoned)
    assert states == ["Reverted", "Done", "Done"]
    assert boot_id(reclaimed.after) == boot_id(reclaimed.before)


def test_with_the_module_goes_the_link_of_the_leaked_namespace(reclaimed: Case) -> None:
    leaked = [link for link in reclaimed.links if link.startswith("veth")]

    assert leaked
    assert reclaimed.links_left == ["eth0", "lo"]
    assert MODULE not in reclaimed.modules


def test_the_module_is_kept_out_from_then_on(virtual: Scene, reclaimed: Case) -> None:
    written = on(virtual, "cat", BLOCKED_BY)

    assert MODULE not in reclaimed.modules
    assert f"install {MODULE} " in written


def test_the_agent_that_may_do_everything_does_not_start_on_the_machine_itself(
    virtual: Scene,
) -> None:
    machine = virtual.cluster.settings.node_name
    virtual.kubectl("label", "node", machine, f"{LABEL}={LABELLED}")
    try:
        of_lab = ("pods", f"spec.nodeName={machine}", "--selector", OF_LAB)
        (pod,) = created(virtual, *of_lab)
        refusal = f"involvedObject.name={pod['metadata']['name']},reason=FailedMount"
        events = created(virtual, "events", refusal)
        (refused,) = created(virtual, *of_lab)
    finally:
        virtual.kubectl("label", "node", machine, f"{LABEL}-")
        installation.await_ready(virtual.cluster)

    assert any('"only-here"' in event["message"] for event in events)
    assert any("is not a file" in event["message"] for event in events)
    assert refused["metadata"]["uid"] == pod["metadata"]["uid"]
    assert refused["status"]["phase"] == "Pending"


def played(scene: Scene, name: str, actions: list[dict[str, Any]]) -> Case:
    """Let a pod leak, then let a policy with these actions treat the node."""
    before = scene.node("Ready and in service", is_in_service)
    step = scene.cluster.settings.progress.step
    try:
        apply(scene, "Observe", actions)
        with step(f"{name}: a gssproxy pod runs, is seen, and is deleted"):
            with gssproxy_pod(scene, name) as pod:
                warned = scene.health("the living pod is warned of", about(USED, pod))
            found = scene.health("the leak is named", about(LEAK, pod))
        links = links_of(scene)
        with step(f"{name}: the policy treats the node"):
            apply(scene, "Auto", actions)
            cordoned = scene.node("cordoned by us", lambda one: bool(owner(one)))
            treatment = scene.observer.wait(
                "noderemediation", owner(cordoned), "it has succeeded", has_succeeded, SECONDS
            )
            after = scene.node("given back", is_in_service)
            scene.health("nothing is left", is_well)
        left = (on(scene, "cat", "/proc/modules"), links_of(scene))
        return Case(pod, warned, found, links, cordoned, treatment, before, after, *left)
    finally:
        scene.clean()


def apply(scene: Scene, mode: str, actions: list[dict[str, Any]]) -> None:
    """Let a policy govern the virtual node alone."""
    scene.policy(
        mode,
        nodeSelector={"matchLabels": {LABEL: LABELLED}},
        rules=[{**RULE, "actions": actions}],
        maintenanceWindows=ALWAYS_OPEN,
    )


def on(scene: Scene, *command: str) -> str:
    """Run a command in the agent's container there, which is in the host's network and PIDs."""
    return scene.kubectl("exec", AGENT, WHERE, "--", *command)


def links_of(scene: Scene) -> list[str]:
    """Return the network links of the virtual machine's own namespace, sorted."""
    return sorted(on(scene, "ls", "/sys/class/net").split())


def is_in_service(node: Object) -> bool:
    """Tell whether a Node is Ready and takes pods."""
    return is_ready(node) and not is_cordoned(node)


def has_succeeded(treatment: Object) -> bool:
    """Tell whether a NodeRemediation has reached its end, and a good one."""
    return bool(treatment.get("status", {}).get("phase") == "Succeeded")


def created(scene: Scene, kind: str, fields: str, *selector: str) -> list[Object]:
    """Wait until there are such objects in our namespace, and return them."""
    which = (kind, WHERE, f"--field-selector={fields}", *selector)
    scene.kubectl("wait", "--for=create", *which, "--timeout=80s")
    listed: Object = json.loads(scene.kubectl("get", *which, "--output=json"))
    return list(listed["items"])
