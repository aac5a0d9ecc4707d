"""Cluster API: the annotation by which a MachineHealthCheck is told that a Machine is unhealthy.

Whoever owns the Machine then replaces it, at its own pace. Sources: cluster-api
core/reconcilers/machinehealthcheck/machinehealthcheck_targets.go (needsRemediation,
shouldSkipRemediation); the annotations of Nodes: core/reconcilers/machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from kernelhealth_api.procedure import Await, GaveUp, Merge, Patient, Progress, Withdraw
from kernelhealth_api.remediation import REQUESTED_BY
from kernelhealth_operator.policy import handover
from kernelhealth_operator.policy.handover import Asking, conditions_of, is_true, said

VIA: Final = "clusterAPI"
REMEDIATE: Final = "cluster.x-k8s.io/remediate-machine"
MACHINE: Final = "cluster.x-k8s.io/machine"
NAMESPACE: Final = "cluster.x-k8s.io/cluster-namespace"
_GROUP = "/apis/cluster.x-k8s.io"
_REFUSALS = ("cluster.x-k8s.io/skip-remediation", "cluster.x-k8s.io/paused")


def reads(patient: Patient) -> tuple[str, ...]:
    """Name the Node, the versions that are served, and then the Machine."""
    node, place = f"/api/v1/nodes/{patient.name}", _place(patient)
    return (node, _GROUP) if place is None else (node, _GROUP, place)


def advance(patient: Patient, timeout: timedelta) -> Progress:
    """Annotate the Machine, and follow what becomes of it."""
    place = _place(patient)
    if place is None:
        return GaveUp(_why_none(patient))
    machine = patient.read.get(place)
    if machine is None:
        what = f"the Machine at {place} is not in this cluster: is it managed from another one?"
        return GaveUp(what)
    metadata = machine["metadata"]
    annotations = metadata.get("annotations") or {}
    name = f"Machine {metadata['namespace']}/{metadata['name']}"
    leaving = bool(metadata.get("deletionTimestamp"))
    mine = annotations.get(REQUESTED_BY) == patient.owner
    refused = next((each for each in _REFUSALS if each in annotations), None)
    if refused and not leaving and not mine:
        return GaveUp(f"{name} has the annotation {refused}: nobody is to replace it")
    asked = REMEDIATE in annotations
    add = {"resourceVersion": metadata["resourceVersion"], "annotations": _asks(patient.owner)}
    asking = Asking(
        via=VIA,
        place=place,
        what=f"{REMEDIATE} on {name}",
        effects=(Merge(place, {"metadata": add}),),
        back=() if leaving or not mine else (withdraw(place, patient.owner),),
        # Somebody else may have asked for the same: then there is nothing to add.
        there=asked or leaving,
        course=_course(patient, name, machine, timeout),
    )
    return handover.go_on(patient, asking, timeout)


def withdraw(place: str, owner: str) -> Withdraw:
    """Return what takes the annotation off again, if it is *owner*'s."""
    annotations = dict.fromkeys((REMEDIATE, REQUESTED_BY))
    return Withdraw(place, owner, {"metadata": {"annotations": annotations}})


def _asks(owner: str) -> dict[str, str]:
    return {REMEDIATE: "", REQUESTED_BY: owner}


def _place(patient: Patient) -> str | None:
    annotations = _annotations(patient)
    name, namespace = annotations.get(MACHINE), annotations.get(NAMESPACE)
    preferred = (patient.read.get(_GROUP) or {}).get("preferredVersion") or {}
    version = preferred.get("groupVersion")
    if not name or not namespace or not version:
        return None
    return f"/apis/{version}/namespaces/{namespace}/machines/{name}"


def _why_none(patient: Patient) -> str:
    if not _annotations(patient).get(MACHINE):
        return f"the Node has no annotation {MACHINE}: Cluster API did not make it"
    return "Cluster API is not in this cluster: its Machines are not where this operator can ask"


def _annotations(patient: Patient) -> Mapping[str, str]:
    node = patient.read.get(f"/api/v1/nodes/{patient.name}") or {}
    return (node.get("metadata") or {}).get("annotations") or {}


def _course(
    patient: Patient, name: str, machine: Mapping[str, Any], timeout: timedelta
) -> Progress:
    look, conditions = handover.again(patient, timeout), conditions_of(machine)
    if machine["metadata"].get("deletionTimestamp"):
        return Await("NodeLeaving", f"{name} is being deleted, and its node with it", look)
    if is_true(conditions, "OwnerRemediated", "False"):
        how = said(conditions["OwnerRemediated"])
        return Await("HandedOver", f"the owner of {name} is to replace it and says: {how}", look)
    what = f"no MachineHealthCheck has taken up the annotation of {name} yet; one must select it"
    return Await("HandedOver", what, look)
