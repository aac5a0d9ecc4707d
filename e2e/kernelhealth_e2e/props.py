"""Objects of a cluster that is played: nodes, reports and policies, and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

GROUP = "/apis/kernelhealth.io/v1alpha1"
NODES = "/api/v1/nodes"
HEALTHS = f"{GROUP}/nodekernelhealths"
POLICIES = f"{GROUP}/kernelhealthpolicies"
REMEDIATIONS = f"{GROUP}/noderemediations"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
DEADLINE = 120.0
LEAK = "NetworkNamespaceLeaked"
RESIDUE = "ResidualPodLink"
KIND = "NetworkNamespacesHealthy"

Object = dict[str, Any]


def auto(**changes: Any) -> Object:
    """The spec of a policy that cordons leaking nodes at once, but for *changes*."""
    rule = {"name": "leaking", "match": {"reasons": [LEAK]}, "actions": [{"cordon": {}}]}
    spec = {
        "mode": "Auto",
        "rules": [rule],
        "disruption": {"maxUnavailable": "50%", "minHealthy": "0%"},
        "recovery": {"healthyDelay": "1s", "coolDown": "1h"},
    }
    return spec | changes


_INFO = dict.fromkeys(
    (
        "machineID",
        "systemUUID",
        "osImage",
        "containerRuntimeVersion",
        "kubeletVersion",
        "kubeProxyVersion",
        "operatingSystem",
        "architecture",
    ),
    "",
)


def registered(name: str, labels: Mapping[str, str], *, cordoned: bool) -> Object:
    """A Node as a kubelet registers it."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {"unschedulable": cordoned},
    }


def ready(name: str) -> Object:
    """The status of a Node that is Ready."""
    condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ok"}
    information = {"bootID": f"boot-of-{name}", "kernelVersion": "6.1.0"}
    return {"status": {"conditions": [condition], "nodeInfo": {**_INFO, **information}}}


def reported(name: str, reasons: Sequence[str], severity: str, number: int) -> Object:
    """A NodeKernelHealth as an agent applies it; *number* dates it."""
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    time = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    status = "False" if reasons else "True"
    condition = {
        "type": KIND,
        "status": status,
        "reason": reasons[0] if reasons else "Healthy",
        "message": "1 network namespace has no owner." if reasons else "Nothing is wrong.",
        "lastTransitionTime": time,
    }
    findings = [
        {"reason": one, "severity": severity, "message": f"{one} on {name}.", "since": time}
        for one in reasons
    ]
    return {
        "apiVersion": "kernelhealth.io/v1alpha1",
        "kind": "NodeKernelHealth",
        "metadata": {"name": name},
        "status": {
            "health": severity if reasons else "Healthy",
            "problems": ", ".join(reasons),
            "conditions": [condition],
            "findings": findings,
            "bootID": f"boot-of-{name}",
            "lastReportTime": time,
        },
    }


def is_cordoned(node: Object) -> bool:
    """Whether a Node is unschedulable."""
    return bool(node.get("spec", {}).get("unschedulable"))


def condition(item: Object, kind: str) -> Object:
    """The condition of that type, empty where there is none."""
    found = (one for one in item.get("status", {}).get("conditions", ()) if one["type"] == kind)
    return next(found, {})


def is_event(node: str, reason: str) -> Callable[[Object], bool]:
    """Whether an object is an Event about *node* with *reason*."""

    def true(item: Object) -> bool:
        return bool(item) and item["regarding"]["name"] == node and item["reason"] == reason

    return true
