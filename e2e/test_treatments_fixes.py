"""What the agent does to a host on request: each cure on real faults, and what it refuses."""

from __future__ import annotations

import pytest

from kernelhealth_e2e import pods
from kernelhealth_e2e.courses import CORDON, event, rule, rung, said
from kernelhealth_e2e.demo.stage import about, finding
from kernelhealth_e2e.faults.gssproxy import CONFIGURATION
from kernelhealth_e2e.observing import Object
from kernelhealth_e2e.scene import LEAK, PODS, Scene, is_cordoned, is_well, owner

TRAP = "KernelNfsdEnabledInContainer"
AT_ONCE = {"confirmAfter": "3s"}
SHORTLY = {"verifyWithin": "30s"}


def test_a_forgotten_mount_is_unmounted_and_the_node_is_given_back(scene: Scene) -> None:
    scene.policy("Auto", rules=rule(LEAK, CORDON, {"reclaim": SHORTLY}))

    with scene.leak("forgotten", "mount") as pod:
        ended = scene.treatment("Succeeded")
        scene.health("the finding is gone", is_well)
        node = scene.get("node", scene.name)

    assert ended["status"]["evidence"][0]["subject"]["pod"] == pod.title
    assert "Succeeded: UnmountNamespace: 1 done" in said(ended, "reclaim")
    assert pod.title in said(ended, "reclaim")
    assert not is_cordoned(node)
    assert owner(node) == ""


def test_a_link_that_outlived_its_pod_is_deleted_where_the_policy_names_that(scene: Scene) -> None:
    reclaim = {"reclaim": {"fixes": ["DeleteResidualLink"]}}
    rules = rule("ResidualPodLink", CORDON, reclaim)
    scene.policy("Auto", detectors={"residualLinks": AT_ONCE}, rules=rules)

    with pods.fault(scene.cluster, "abandoned_veth", "host", PODS, "gone-7") as maker:
        ended = scene.treatment("Succeeded")
        scene.health("the finding is gone", is_well)
        links = scene.cluster.node.output("ip", "-o", "link")
        node = scene.get("node", scene.name)
        assert maker.poll() is None

    (link,) = ended["status"]["evidence"][0]["subject"]["interfaces"]
    assert link.startswith("cali")
    assert "Succeeded: DeleteResidualLink: 1 done" in said(ended, "reclaim")
    assert link in said(ended, "reclaim")
    assert link not in links
    assert not is_cordoned(node)


def test_a_link_is_left_alone_where_the_policy_does_not_name_its_risky_cure(scene: Scene) -> None:
    rules = rule("ResidualPodLink", CORDON, {"reclaim": SHORTLY})
    scene.policy("Auto", detectors={"residualLinks": AT_ONCE}, rules=rules)

    with pods.fault(scene.cluster, "abandoned_veth", "host", PODS, "gone-8"):
        ended = scene.treatment("Ineffective")
        links = scene.cluster.node.output("ip", "-o", "link")
        node = scene.get("node", scene.name)

    (link,) = ended["status"]["evidence"][0]["subject"]["interfaces"]
    assert rung(ended, "reclaim")["state"] == "Skipped"
    assert "DeleteResidualLink might help" in said(ended, "reclaim")
    assert link in links
    assert is_cordoned(node)


@pytest.mark.parametrize(
    ("arguments", "cure", "end"),
    [((), "RepairSocket", "4194304"), (("--shut",), "DestroySocket", "reset")],
    ids=["repaired", "destroyed"],
)
def test_a_connection_whose_windows_the_kernel_ignores_is_repaired_or_else_ended(
    scene: Scene, arguments: tuple[str, ...], cure: str, end: str
) -> None:
    eager = {"stalledAfter": "1s", "minBackoff": 1, "receivedBytes": 0, "peerEmptyFor": "1h"}
    rules = rule("ConnectionStuckInPersist", CORDON, {"reclaim": SHORTLY})
    scene.policy("Auto", detectors={"tcpPersist": eager}, rules=rules)

    with pods.fault(scene.cluster, "stale_window", *arguments) as maker:
        ended = scene.treatment("Succeeded")
        node = scene.get("node", scene.name)
        assert maker.stdout is not None
        outcome = maker.stdout.readline().strip()

    assert f"Succeeded: {cure}: 1 done" in said(ended, "reclaim")
    assert outcome == end
    assert not is_cordoned(node)


def test_a_cure_that_would_change_the_whole_machine_is_refused_with_the_reason(
    scene: Scene,
) -> None:
    rules = rule(TRAP, CORDON, {"fixConfig": {"verifyWithin": "1s"}}, least="Info")
    scene.policy("Auto", rules=rules)
    wanted = pods.Wanted(
        PODS,
        "nfs-gateway",
        privileged=True,
        directory="/etc/gssproxy",
        files=tuple(CONFIGURATION.items()),
    )

    pod = pods.start(scene.cluster, wanted)
    ended = scene.treatment("Ineffective")
    found = scene.health("the trap is named", about(TRAP, pod.title))
    node = scene.get("node", scene.name)
    pods.delete(scene.cluster, pod)
    scene.health("the trap is gone", is_well)

    # A kernel without modules has nothing to keep out; elsewhere the demo's overlay forbids it.
    refused = said(ended, "fixConfig")
    assert "BlockRpcGssModule" in (finding(found, TRAP) or {})["cures"]
    assert refused.startswith("Refused: BlockRpcGssModule: 0 done; 1 left alone")
    assert "proc/modules" in refused or "refuse-host-wide" in refused
    assert found["status"]["request"]["state"] == "Refused"
    assert is_cordoned(node)


def test_when_an_action_does_not_help_the_next_follows_and_at_the_end_a_person_is_told(
    scene: Scene,
) -> None:
    actions: tuple[Object, ...] = (CORDON, {"reclaim": {"verifyWithin": "3s"}}, {"taint": {}})
    scene.policy("Auto", rules=rule(LEAK, *actions))
    pod = scene.start("doubly-held")

    with pods.fault(scene.cluster, "held_namespace", "mount", str(pod.pid)), scene.leaking(pod):
        ended = scene.treatment("Ineffective")
        node = scene.get("node", scene.name)
        told = event(scene, "RemediationIneffective", LEAK)
        still = scene.get("nodekernelhealth", scene.name)
    scene.health("the finding is gone", is_well)

    assert "Succeeded: UnmountNamespace" in said(ended, "reclaim")
    assert rung(ended, "reclaim")["finishedAt"] <= rung(ended, "taint")["startedAt"]
    assert finding(still, LEAK) is not None
    assert is_cordoned(node)
    assert "kernelhealth.io/unhealthy" in [one["key"] for one in node["spec"]["taints"]]
    assert told["type"] == "Warning"
