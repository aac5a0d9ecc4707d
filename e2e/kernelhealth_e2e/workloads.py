"""What a platform team runs on a node that is to be drained: Deployments, budgets, static pods."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from kernelhealth_e2e import installation, pauseimage, processes
from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.nodefiles import STATIC_PODS
from kernelhealth_e2e.scene import PODS, Scene

_WHERE = f"--namespace={installation.NAMESPACE}"
_OPERATOR = "kernelhealth-operator"
_SECONDS = 120


def pod(*, scratch: bool = False) -> dict[str, Any]:
    """Return the spec of a pod that waits until it is told to end; *scratch*: with an emptyDir."""
    container: dict[str, Any] = {
        "name": "main",
        "image": pauseimage.NAME,
        "imagePullPolicy": "Never",
        "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}},
    }
    spec: dict[str, Any] = {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "containers": [container],
    }
    if scratch:
        container["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
        spec["volumes"] = [{"name": "scratch", "emptyDir": {}}]
    return spec


def deploy(scene: Scene, name: str, *, replicas: int = 1, scratch: bool = False) -> None:
    """Run a Deployment, and wait until its pods are Ready."""
    labels = {"app": name}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod(scratch=scratch)},
    }
    _apply(scene, {"apiVersion": "v1", "kind": "Namespace"}, PODS, namespace="")
    _apply(scene, {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}, name)
    scene.kubectl("rollout", "status", f"deployment/{name}", f"--namespace={PODS}")


def guard(scene: Scene, name: str, least: int) -> None:
    """Let a PodDisruptionBudget keep so many pods of a Deployment, once it has counted them."""
    spec = {"minAvailable": least, "selector": {"matchLabels": {"app": name}}}
    _apply(scene, {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": spec}, name)
    counted = "--for=jsonpath={.status.observedGeneration}=1"
    scene.kubectl("wait", counted, f"pdb/{name}", f"--namespace={PODS}", "--timeout=60s")


def unguard(scene: Scene, name: str) -> None:
    """Lift a PodDisruptionBudget."""
    scene.kubectl("delete", "pdb", name, f"--namespace={PODS}")


def undeploy(scene: Scene) -> None:
    """Remove all Deployments and budgets of the tests; back when their pods are gone as well."""
    every = ("pdb,deployment", "--all", f"--namespace={PODS}", "--ignore-not-found")
    scene.cluster.kubectl("delete", *every, "--cascade=foreground", seconds=_SECONDS)


@contextlib.contextmanager
def static_pod(cluster: Cluster, name: str) -> Iterator[str]:
    """Let the kubelet run a pod of its own; yields the name of its mirror in the API."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": PODS},
        "spec": pod(),
    }
    path, mirror = f"{STATIC_PODS}/{name}.json", f"{name}-{cluster.settings.node_name}"
    processes.output(("tee", path), place=cluster.node.place, stdin=json.dumps(manifest))
    where = (f"--namespace={PODS}", f"--timeout={_SECONDS}s")
    try:
        cluster.kubectl("wait", "--for=create", f"pod/{mirror}", *where, seconds=_SECONDS + 10)
        ready = ("wait", "--for=condition=Ready", f"pod/{mirror}")
        cluster.kubectl(*ready, *where, seconds=_SECONDS + 10)
        yield mirror
    finally:
        cluster.node.output("rm", "-f", path)
        cluster.kubectl("wait", "--for=delete", f"pod/{mirror}", *where, seconds=_SECONDS + 10)


@contextlib.contextmanager
def operator_that_stays(scene: Scene) -> Iterator[None]:
    """Run the operator as a DaemonSet instead of its Deployment, from the same template.

    Whoever empties the only node of a cluster evicts the operator too, and it has no other node to
    go on from. Pods of DaemonSets are left where they are.
    """
    deployment = scene.get("deployment", _OPERATOR, _WHERE)
    template = deployment["spec"]["template"]
    template["spec"].pop("affinity", None)
    labels = {"app.kubernetes.io/name": "kernelhealth-operator-that-stays"}
    template["metadata"]["labels"] = labels
    spec = {"selector": {"matchLabels": labels}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "DaemonSet", "spec": spec}
    name = f"{_OPERATOR}-that-stays"
    scene.kubectl("scale", f"deployment/{_OPERATOR}", "--replicas=0", _WHERE)
    try:
        _apply(scene, body, name, namespace=installation.NAMESPACE)
        scene.kubectl("rollout", "status", f"daemonset/{name}", _WHERE)
        yield
    finally:
        scene.kubectl("delete", f"daemonset/{name}", _WHERE, "--ignore-not-found")
        replicas = f"--replicas={deployment['spec']['replicas']}"
        scene.kubectl("scale", f"deployment/{_OPERATOR}", replicas, _WHERE)
        installation.await_ready(scene.cluster)


def _apply(scene: Scene, body: dict[str, Any], name: str, namespace: str = PODS) -> None:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    scene.kubectl("apply", "-f", "-", stdin=json.dumps({**body, "metadata": metadata}))
