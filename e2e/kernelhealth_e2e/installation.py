"""Our images and manifests on a cluster, as a platform team would put them there."""

from __future__ import annotations

from pathlib import Path

from kernelhealth_e2e import images
from kernelhealth_e2e.cluster import Cluster

TREE = Path(__file__).resolve().parent.parent.parent
DEMO = TREE / "manifests" / "overlays" / "demo"
POLICY = DEMO / "policy.yaml"
FAREWELL = TREE / "manifests" / "farewell.yaml"
NAMESPACE = "kernelhealth-system"
MARKS = ("mirrored-conditions", "let-be", "ignored-because")
_READY_SECONDS = 120
_WORKLOADS = (
    ("daemonset/kernelhealth-agent", ("numberReady", 1)),
    ("deployment/kernelhealth-operator", ("readyReplicas", 2)),
)


def load_images(cluster: Cluster) -> None:
    """Build the two images where their sources changed, and import them into the node."""
    wanted = cluster.settings
    for recipe in (images.AGENT, images.OPERATOR):
        archive = images.archive(recipe, TREE, wanted.cache, wanted.progress)
        cluster.node.load_image(archive)


def apply(cluster: Cluster) -> None:
    """Apply the demo's overlay and wait until agent and operator are ready."""
    cluster.kubectl("apply", "-k", str(DEMO))
    await_ready(cluster)


def await_ready(cluster: Cluster) -> None:
    """Wait until there are as many ready agents and operators as there should be."""
    # A DaemonSet counts as rolled out before its controller has counted any node.
    for workload, count in _WORKLOADS:
        ready = f"--for=jsonpath={{.status.{count[0]}}}={count[1]}"
        where = f"--namespace={NAMESPACE}"
        wait = ("wait", ready, workload, where, f"--timeout={_READY_SECONDS}s")
        cluster.kubectl(*wait, seconds=_READY_SECONDS + 10)


def remove(cluster: Cluster) -> None:
    """Remove all that was applied, CRDs with their objects too, and the marks on the Node."""
    cluster.kubectl("delete", "-k", str(DEMO), "--ignore-not-found", seconds=120)
    cluster.kubectl("annotate", "nodes", "--all", *(f"kernelhealth.io/{name}-" for name in MARKS))
    node = f"node/{cluster.settings.node_name}"
    patch = ("--subresource=status", "--type=strategic", f"--patch-file={FAREWELL}")
    cluster.kubectl("patch", node, *patch)
