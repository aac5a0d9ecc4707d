"""The configuration files of a node's container runtime, pod network and kubelet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kernelhealth_e2e import pauseimage

if TYPE_CHECKING:
    from pathlib import Path

POD_RANGE = "10.244.0.0/24"
STATIC_PODS = "/etc/kubernetes/manifests"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

# A process without CAP_SYS_RESOURCE may not lower oom_score_adj; runc then dies in the middle of
# starting a container. restrict_oom_score_adj keeps containerd from asking for it.
CONTAINERD = f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{pauseimage.NAME}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
"""

_CNI: dict[str, Any] = {
    "cniVersion": "0.4.0",
    "name": "kernelhealth",
    "plugins": [
        {
            "type": "ptp",
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_RANGE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ],
}


def write(etc: Path, *, ca: Path, cgroup: str) -> None:
    """Write what boot.sh lays over the node's /etc."""
    for name in ("cni/net.d", "containerd", "kubernetes/manifests"):
        (etc / name).mkdir(parents=True)
    (etc / "cni/net.d/10-kernelhealth.conflist").write_text(json.dumps(_CNI, indent=1))
    (etc / "containerd/config.toml").write_text(CONTAINERD)
    kubelet = json.dumps(_kubelet(ca, cgroup), indent=1)
    (etc / "kubernetes/kubelet.yaml").write_text(kubelet)


def _kubelet(ca: Path, cgroup: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(ca)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "staticPodPath": STATIC_PODS,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "makeIPTablesUtilChains": False,
        "resolvConf": "",
        # Nothing answers there; without an address every pod gets a warning event.
        "clusterDNS": ["10.96.0.10"],
        "maxPods": 250,
        "evictionHard": {"nodefs.available": "1%", "memory.available": "100Mi"},
        # Images are imported, not pulled: one that was collected could not come back.
        "imageGCHighThresholdPercent": 100,
    }
