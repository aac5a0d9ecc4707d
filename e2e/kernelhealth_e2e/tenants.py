"""Pods on nodes without kubelets: they are put there, and end when they are told to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kernelhealth_e2e.props import NODES, Object
from kernelhealth_e2e.stage import Stage
from kernelhealth_operator.cluster.errors import Conflict, NotFound

NAMESPACE = "shop"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
BUDGETS = f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets"
DAEMON_SETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"
_ACCOUNTS = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
_AT_ONCE = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}


@dataclass(frozen=True, slots=True)
class Tenant:
    """What a pod is like: *owner* is the kind of its controller, empty for none."""

    name: str
    owner: str = "ReplicaSet"
    phase: str = "Running"
    ready: bool = True
    scratch: bool = False
    mirror: bool = False
    labels: dict[str, str] = field(default_factory=lambda: {"app": "web"})


async def open_shop(stage: Stage) -> None:
    """Makes the namespace with the account that pods need, and empties it."""
    for path, name in (("/api/v1/namespaces", NAMESPACE), (_ACCOUNTS, "default")):
        try:
            await stage.post(path, {"metadata": {"name": name}})
        except Conflict:
            continue
    await close_shop(stage)


async def close_shop(stage: Stage) -> None:
    """Deletes all that is in the namespace, without waiting for kubelets."""
    for path in (BUDGETS, DAEMON_SETS, PODS):
        await stage.session.request("DELETE", path, body=_AT_ONCE)


async def move_in(stage: Stage, node: str, *tenants: Tenant) -> None:
    """Puts pods on a node."""
    home = await stage.get(NODES, node) or {}
    for tenant in tenants:
        await stage.post(PODS, _pod(tenant, node, home["metadata"]["uid"]))
        ready = {"type": "Ready", "status": "True" if tenant.ready else "False"}
        status = {"phase": tenant.phase, "conditions": [ready]}
        await stage.merge(f"{PODS}/{tenant.name}/status", {"status": status})


async def daemon_set(stage: Stage, name: str) -> None:
    """Creates a DaemonSet, since kubectl asks for those that pods name."""
    labels = {"daemon": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [_container()]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    await stage.post(DAEMON_SETS, {"metadata": {"name": name}, "spec": spec})


async def budget(stage: Stage, name: str, allowed: int, app: str = "web") -> None:
    """Creates a PodDisruptionBudget that allows so many evictions, as its controller would say."""
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}}
    await stage.post(BUDGETS, {"metadata": {"name": name}, "spec": spec})
    await allow(stage, name, allowed)


async def allow(stage: Stage, name: str, allowed: int) -> None:
    """Lets a PodDisruptionBudget allow so many evictions."""
    counts = {"currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    status = {**counts, "disruptionsAllowed": allowed, "observedGeneration": 1}
    await stage.merge(f"{BUDGETS}/{name}/status", {"status": status})


async def leaving(stage: Stage, name: str) -> None:
    """Waits until a pod has been told to end."""
    await stage.until(PODS, name, lambda pod: "deletionTimestamp" in pod.get("metadata", {}))


async def gone(stage: Stage, name: str) -> None:
    """Plays the kubelet, whose pod has ended."""
    try:
        await stage.session.request("DELETE", f"{PODS}/{name}", body=_AT_ONCE)
    except NotFound:
        return


async def names(stage: Stage) -> set[str]:
    """The names of the pods that are there."""
    return {pod["metadata"]["name"] for pod in await stage.items(PODS)}


def _pod(tenant: Tenant, node: str, node_uid: str) -> Object:
    metadata: dict[str, Any] = {"name": tenant.name, "labels": tenant.labels}
    if tenant.mirror:
        metadata["annotations"] = {"kubernetes.io/config.mirror": "0"}
        owner = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node_uid}
        metadata["ownerReferences"] = [{**owner, "controller": True}]
    elif tenant.owner:
        owner = {"apiVersion": "apps/v1", "kind": tenant.owner, "name": "owner", "uid": "u-1"}
        metadata["ownerReferences"] = [{**owner, "controller": True}]
    volumes = [{"name": "scratch", "emptyDir": {}}] if tenant.scratch else []
    return {
        "metadata": metadata,
        "spec": {
            "nodeName": node,
            "containers": [_container()],
            "volumes": volumes,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
        },
    }


def _container() -> Object:
    requests = {"cpu": "250m", "memory": "64Mi"}
    return {
        "name": "main",
        "image": "registry.example/none:1",
        "resources": {"requests": requests},
    }
