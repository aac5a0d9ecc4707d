"""Who may do what in the cluster; nothing that is not used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from kernelhealth_api.remediation import Permission
from kernelhealth_api.v1alpha1 import GROUP
from kernelhealth_build.catalogue import Catalogue

NAMESPACE = "kernelhealth-system"
"""Where the operator runs, and where its Lease is."""
EVENTS = "default"
"""Where the Events of Nodes are, since Nodes are in no namespace: kubectl describe looks there."""

_WATCH = ("get", "list", "watch")
_AGENT = (
    Permission(GROUP, "nodekernelhealths", ("get", "watch")),
    Permission(GROUP, "nodekernelhealths/status", ("patch",)),
)
_OPERATOR = (
    Permission("", "nodes", _WATCH),
    Permission("", "nodes/status", ("patch",)),
    Permission(GROUP, "kernelhealthpolicies", _WATCH),
    Permission(GROUP, "kernelhealthpolicies/status", ("patch",)),
    Permission(GROUP, "nodekernelhealths", ("list", "watch", "create", "patch")),
    Permission(GROUP, "nodekernelhealths/status", ("patch",)),
    Permission(GROUP, "noderemediations", (*_WATCH, "create", "delete")),
    Permission(GROUP, "noderemediations/status", ("patch",)),
)
_OPERATOR_LEASE = (Permission("coordination.k8s.io", "leases", ("get", "create", "patch")),)
_OPERATOR_EVENTS = (Permission("events.k8s.io", "events", ("create", "patch")),)


def agent() -> dict[str, Any]:
    """Return the agent's ClusterRole; an admission policy narrows it to the node's own object."""
    return _role("kernelhealth-agent", _AGENT)


def operator(catalogue: Catalogue) -> tuple[dict[str, Any], ...]:
    """Return the operator's roles: what it always needs, and what the remediations need."""
    needs = [need for remediation in catalogue.remediations for need in remediation.needs]
    return (
        _role("kernelhealth-operator", [*_OPERATOR, *needs]),
        _role("kernelhealth-operator-lease", _OPERATOR_LEASE, NAMESPACE),
        _role("kernelhealth-operator-events", _OPERATOR_EVENTS, EVENTS),
    )


def _role(
    name: str, permissions: Iterable[Permission], namespace: str | None = None
) -> dict[str, Any]:
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole" if namespace is None else "Role",
        "metadata": metadata | {"labels": {"app.kubernetes.io/part-of": "kernelhealth"}},
        "rules": _rules(permissions),
    }


def _rules(permissions: Iterable[Permission]) -> list[dict[str, list[str]]]:
    """Return one rule for each resource, with all verbs that anybody asked for."""
    verbs: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for permission in permissions:
        verbs[permission.group, permission.resource] |= set(permission.verbs)
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": sorted(verbs[group, resource])}
        for group, resource in sorted(verbs)
    ]
