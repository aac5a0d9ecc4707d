"""Others who reboot, drain or replace nodes, as far as a Node shows that they are at work on it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from kernelhealth_api.v1alpha1.noderemediation import Decision
from kernelhealth_operator.policy.decision import Verdict
from kernelhealth_operator.policy.situation import Situation, Treatment

KURED_REBOOTS: Final = (
    "kured.dev/kured-reboot-in-progress",
    "weave.works/kured-reboot-in-progress",
)
"""Annotations that kured puts on a Node while it reboots it, with ``--annotate-nodes``.
Source: kured cmd/kured/main.go, KuredRebootInProgressAnnotation, of its newest and older releases.
"""
KURED_LOCKS: Final = ("kured.dev/kured-node-lock", "weave.works/kured-node-lock")
"""Annotations of kured's DaemonSet that say which nodes it works on.
Source: kured cmd/kured/main.go, KuredNodeLockAnnotation; pkg/daemonsetlock/daemonsetlock.go."""
SCALE_DOWN_DISABLED: Final = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
"""Annotation of a Node that cluster-autoscaler is not to remove.
Source: cluster-autoscaler core/scaledown/eligibility/eligibility.go, ScaleDownDisabledKey."""
WATCHED: Final = frozenset({*KURED_REBOOTS, SCALE_DOWN_DISABLED})
"""Annotations of others on Nodes that are looked at."""

_TAINTS: Final = {
    "karpenter.sh/disrupted": "Karpenter is about to remove the node",
    "karpenter.sh/disruption": "Karpenter is about to remove the node",
    "karpenter.sh/rebooting": "Karpenter reboots the node",
    "node.cluster.x-k8s.io/outdated-revision": "Cluster API is about to replace the machine",
    "node.cluster.x-k8s.io/uninitialized": "Cluster API has not finished with the machine",
    "ToBeDeletedByClusterAutoscaler": "cluster-autoscaler is about to remove the node",
    "medik8s.io/remediation": "a remediation of medik8s is at work on the node",
    "medik8s.io/drain": "a NodeMaintenance of medik8s is at work on the node",
    "node.kubernetes.io/out-of-service": "a person declared the node out of service",
}
"""Taints by which others say that they are at work on a node. Sources: karpenter
pkg/apis/v1/taints.go, and karpenter.sh/disruption of its v1beta1; cluster-api
NodeOutdatedRevisionTaint and NodeUninitializedTaint; cluster-autoscaler utils/taints/taints.go;
medik8s self-node-remediation, fence-agents-remediation api/v1alpha1 and node-maintenance-operator
controllers/taint.go; Kubernetes staging/src/k8s.io/api/core/v1/well_known_taints.go."""


def nobody_else_reboots(situation: Situation) -> Verdict:
    """OthersAtWork: somebody else reboots, drains or replaces this node at the moment."""
    name, node, treatment = "nobody_else_reboots", situation.node, situation.treatment
    if treatment is not None and _handed_over(treatment):
        return Verdict.yes(name, "whoever is at work on the node was asked to")
    for annotation in KURED_REBOOTS:
        if annotation in node.annotations:
            what = f"kured reboots the node: its annotation {annotation} says so"
            return Verdict.no(name, "OthersAtWork", what)
    for taint in node.taints:
        if why := _TAINTS.get(taint.key):
            what = f"{why}: its taint {taint.key} says so"
            return Verdict.no(name, "OthersAtWork", what)
    return Verdict.yes(name, "nobody else is at work on the node")


def _handed_over(treatment: Treatment) -> bool:
    rungs = treatment.status.rungs
    return any(rung.action == "replace" and rung.state == "Running" for rung in rungs)


def cordoned_by_nobody_else(situation: Situation) -> Verdict:
    """ForeignCordon: somebody made the node unschedulable, and may be at work on it.

    A person who approves the treatment knows of it.
    """
    node, treatment = situation.node, situation.treatment
    name = "cordoned_by_nobody_else"
    if not node.unschedulable or (treatment and node.cordon_owner == treatment.name):
        return Verdict.yes(name, "nobody else cordoned the node")
    if treatment is not None and treatment.spec.decision is Decision.APPROVED:
        return Verdict.yes(name, "a person approved although the node is cordoned")
    what = "somebody else cordoned the node and may be at work on it: uncordon it, or approve"
    return Verdict.no(name, "ForeignCordon", what)


def lock_holder(daemon_set: Mapping[str, Any] | None, now: datetime) -> str | None:
    """Return the node for which kured holds its lock; None: nobody, or for too long.

    *daemon_set* is the body of kured's DaemonSet. A lock with a time to live ends with it. One that
    cannot be read is held by ``an unknown node``: whoever wrote it meant something.
    """
    metadata = (daemon_set or {}).get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    text = next((annotations[key] for key in KURED_LOCKS if annotations.get(key)), None)
    if text is None:
        return None
    try:
        return next(_holders(json.loads(text), now), None)
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError):
        return "an unknown node"


def _holders(lock: Any, now: datetime) -> Iterator[str]:
    # With a concurrency above one it is a list of such locks.
    for one in [lock] if "locks" not in lock else lock["locks"] or ():
        if not one.get("nodeID"):
            continue
        lifetime = timedelta(microseconds=int(one.get("TTL") or 0) / 1000)
        if lifetime and datetime.fromisoformat(one["created"]) + lifetime <= now:
            continue
        yield str(one["nodeID"])
