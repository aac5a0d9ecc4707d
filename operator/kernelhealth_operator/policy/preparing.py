"""What a Node bears while it is rebooted, so that others leave it alone."""

from __future__ import annotations

from typing import Final

from kernelhealth_api.procedure import PatchNode, Patient
from kernelhealth_api.remediation import PREPARED_BY, Target, prepared_by
from kernelhealth_operator.policy.foreign import SCALE_DOWN_DISABLED

NO_LOAD_BALANCER: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
"""Label of a Node to which no external load balancer sends anything.
Source: Kubernetes staging/src/k8s.io/api/core/v1/well_known_labels.go."""


def prepare(patient: Patient) -> PatchNode | None:
    """Return the patch that marks the node before it is rebooted; None: it is marked already.

    What is there already stays as it is, and stays afterwards. Whatever was put there is named in
    the same patch. Marks in another's name are left to that one, whose end takes them off.
    """
    if prepared_by(patient.annotations) is not None:
        return None
    labels = {} if NO_LOAD_BALANCER in patient.labels else {NO_LOAD_BALANCER: "true"}
    absent = SCALE_DOWN_DISABLED not in patient.annotations
    annotations = {SCALE_DOWN_DISABLED: "true"} if absent else {}
    mine = " ".join((patient.owner, *labels, *annotations))
    metadata = {
        "resourceVersion": patient.resource_version,
        "labels": labels,
        "annotations": {**annotations, PREPARED_BY: mine},
    }
    return PatchNode(patient.name, patient.resource_version, {"metadata": metadata})


def undo(target: Target) -> PatchNode:
    """Return the patch that takes off what the annotation names, and the annotation itself."""
    put = target.annotations.get(PREPARED_BY, "").split(" ")[1:]
    # Nothing but these two, whatever anybody may have written there.
    labels = {name: None for name in (NO_LOAD_BALANCER,) if name in put}
    annotations = {name: None for name in (SCALE_DOWN_DISABLED,) if name in put}
    metadata = {
        "resourceVersion": target.resource_version,
        "labels": labels,
        "annotations": {**annotations, PREPARED_BY: None},
    }
    return PatchNode(target.name, target.resource_version, {"metadata": metadata})
