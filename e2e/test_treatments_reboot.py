"""A reboot by the host's own hook. The boot is a simulation: kernelhealth_e2e/simulated_boot.py."""

from __future__ import annotations

from kernelhealth_e2e import installation
from kernelhealth_e2e.courses import CORDON, event, phases, rule, said
from kernelhealth_e2e.observing import Object
from kernelhealth_e2e.scene import LEAK, Scene, is_cordoned, is_well, owner

REBOOT_SECONDS = 240.0
"""All of the node's pods start anew, and the operator's lease is to be over before it goes on."""
MARKS = {
    "node.kubernetes.io/exclude-from-external-load-balancers",
    "cluster-autoscaler.kubernetes.io/scale-down-disabled",
}


def test_a_leak_that_only_a_reboot_frees_is_rebooted_away_by_the_hook_in_a_simulation(
    scene: Scene,
) -> None:
    reboot = {"reboot": {"when": "Now", "timeout": "3m"}}
    scene.policy("Auto", rules=rule(LEAK, CORDON, {"reclaim": {}}, reboot))
    before = boot_of(scene)

    with (
        scene.observer.record("node", scene.name) as nodes,
        scene.observer.record("noderemediations") as treatments,
        scene.leak("unreachable") as pod,
    ):
        # The holder dies with the boot, as everything does that is no kernel.
        ended = scene.treatment("Succeeded", seconds=REBOOT_SECONDS)
        versions = nodes.versions()
        course = [one for one in phases(treatments.versions()) if one != "Succeeded"]
    health = scene.health("a healthy node", is_well)
    node = scene.get("node", scene.name)
    installation.await_ready(scene.cluster)

    after = boot_of(scene)
    assert after != before
    assert health["status"]["bootID"] == after
    assert ended["status"]["evidence"][0]["subject"]["pod"] == pod.title
    assert f"boot {before} is over, it runs {after}" in said(ended, "reboot")
    assert any(owner(one) and marks(one) == MARKS for one in versions)
    assert marks(node) == set()
    assert course[-2:] == ["Running", "Verifying"]
    assert not is_cordoned(node)
    assert event(scene, "Rebooted", after)["type"] == "Warning"


def test_a_reboot_that_waits_for_its_window_leaves_the_boot_alone(scene: Scene) -> None:
    # An hour in the year.
    windows = [{"schedule": "0 2 1 1 *", "duration": "1h"}]
    reboot = {"reboot": {"when": "MaintenanceWindow"}}
    scene.policy("Auto", rules=rule(LEAK, CORDON, reboot), maintenanceWindows=windows)
    before = boot_of(scene)

    with scene.leak("patient"):
        held = scene.treatment("Running", waits_for_window)
    ended = scene.treatment("Succeeded")

    assert held["status"]["waitingUntil"].endswith("-01-01T02:00:00Z")
    assert boot_of(scene) == before
    assert ended["metadata"]["name"] == held["metadata"]["name"]


def waits_for_window(treatment: Object) -> bool:
    return str(treatment["status"].get("waitingFor", "")).startswith("MaintenanceWindow")


def boot_of(scene: Scene) -> str:
    return str(scene.get("node", scene.name)["status"]["nodeInfo"]["bootID"])


def marks(node: Object) -> set[str]:
    """Return what a node bears while it is rebooted."""
    metadata = node["metadata"]
    return MARKS & {*metadata.get("labels", {}), *metadata.get("annotations", {})}
