"""The harness itself: what every other test of this layer builds on."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from kernelhealth_e2e import cgroups, pauseimage, processes, runs
from kernelhealth_e2e.cache import Cache
from kernelhealth_e2e.cluster import Cluster, Settings
from kernelhealth_e2e.progress import Progress

ASK = """\
import ssl, urllib.request
context = ssl._create_unverified_context()
print(urllib.request.urlopen("https://10.96.0.1/version", context=context).read().decode())
"""
PLAIN = """\
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: wait, image: IMAGE, imagePullPolicy: Never}]
""".replace("IMAGE", pauseimage.NAME)
PRIVILEGED = """\
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  hostNetwork: true
  hostPID: true
  terminationGracePeriodSeconds: 1
  volumes: [{name: root, hostPath: {path: /}}]
  containers:
  - name: wait
    image: IMAGE
    imagePullPolicy: Never
    securityContext: {privileged: true}
    volumeMounts: [{name: root, mountPath: /host, readOnly: true}]
""".replace("IMAGE", pauseimage.NAME)


def test_an_ordinary_pod_has_a_network_namespace_of_its_own_and_loses_it(cluster: Cluster) -> None:
    before = veths(cluster)
    pid = started(cluster, "plain", PLAIN)
    own, node = namespace(pid), namespace(cluster.node.pid)
    made = veths(cluster) - before

    cluster.kubectl("delete", "pod", "plain")

    assert own != node
    assert processes.start_time(pid) is None
    assert made
    assert not made & veths(cluster)


def test_a_privileged_pod_shares_the_nodes_network_and_sees_its_root(cluster: Cluster) -> None:
    pid = started(cluster, "privileged", PRIVILEGED)

    wait_pid = cluster.node.pod_pids(uid(cluster, "privileged"))[-1]
    seen = Path(f"/proc/{wait_pid}/root/host/etc/kubernetes/kubelet.yaml").exists()
    network = namespace(pid)
    cluster.kubectl("delete", "pod", "privileged")

    assert seen
    assert network == namespace(cluster.node.pid)


def test_a_pod_reaches_the_api_server_at_the_service_address(cluster: Cluster) -> None:
    pid = started(cluster, "caller", PLAIN)

    enter = ("nsenter", "--target", str(pid), "--net", sys.executable, "-c", ASK)
    answer = processes.output(enter)
    cluster.kubectl("delete", "pod", "caller")

    assert json.loads(answer)["major"] == "1"
    assert processes.start_time(pid) is None


def test_the_api_server_reaches_the_kubelet_for_logs(cluster: Cluster) -> None:
    started(cluster, "silent", PLAIN)

    said = cluster.kubectl("logs", "silent")
    cluster.kubectl("delete", "pod", "silent")

    assert said == ""


def test_a_service_of_the_node_can_be_published_on_this_machine(cluster: Cluster) -> None:
    host, _, port = cluster.publish("127.0.0.1:10248").rpartition(":")

    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))

    assert answer.endswith(b"ok")


def test_a_second_cluster_runs_beside_the_first_and_leaves_nothing(
    cluster: Cluster, harness_cache: Cache, tmp_path: Path
) -> None:
    before = tunables()
    settings = Settings(cluster.settings.binaries, tmp_path, harness_cache, Progress())

    with Cluster(settings) as second:
        started(second, "abandoned", PLAIN)
        name, pids = second.run.name, tuple(second.control_plane.pids().values())

    assert tunables() == before
    assert name not in Path("/proc/self/mounts").read_text()
    assert "node0" not in processes.output(("ip", "-brief", "link"))
    assert [processes.start_time(pid) for pid in pids] == [None] * len(pids)
    assert not any((hierarchy / name).exists() for hierarchy in cgroups.hierarchies())
    assert runs.sweep(tmp_path) == ()
    assert list(tmp_path.glob(f"{runs.PREFIX}*")) == []


def started(cluster: Cluster, name: str, manifest: str) -> int:
    cluster.kubectl("apply", "-f", "-", stdin=manifest.replace("NAME", name))
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s", seconds=130)
    return cluster.node.pod_pids(uid(cluster, name))[0]


def uid(cluster: Cluster, name: str) -> str:
    return cluster.kubectl("get", "pod", name, "-o", "jsonpath={.metadata.uid}")


def veths(cluster: Cluster) -> set[str]:
    """Return the pods' links in the node's own namespace."""
    links = cluster.node.output("ip", "-brief", "link").splitlines()
    return {line.split()[0] for line in links if line.startswith("veth")}


def namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def tunables() -> dict[str, str]:
    """Return what a kubelet and CNI plugins would change on a machine of their own."""
    names = ("net/ipv4/ip_forward", "vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
    return {name: Path(f"/proc/sys/{name}").read_text() for name in names}
