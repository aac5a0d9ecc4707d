"""medik8s: a remediation made from a template, as its NodeHealthCheck does.

The object has the node's name, since remediators find the node by that, and the node for an owner,
so that it goes with it. Sources: node-healthcheck-operator internal/controller/resources/manager.go
(generateRemediationCR); medik8s common pkg/annotations and pkg/conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from kernelhealth_api.procedure import (
    Await,
    Create,
    Finished,
    GaveUp,
    Merge,
    Patient,
    Progress,
    Withdraw,
)
from kernelhealth_api.remediation import REQUESTED_BY
from kernelhealth_operator.policy import handover
from kernelhealth_operator.policy.handover import Asking, conditions_of, is_true, said

VIA: Final = "medik8s"
NODE_NAME: Final = "remediation.medik8s.io/node-name"
"""Annotation of a remediation that names its node."""
TIMED_OUT: Final = "remediation.medik8s.io/nhc-timed-out"
"""Annotation by which a remediator is told to stop; its value is the time."""
_TEMPLATE = "Template"


@dataclass(frozen=True, slots=True)
class Reference:
    """Where the template is."""

    api_version: str
    kind: str
    name: str
    namespace: str


def reads(patient: Patient, template: Reference) -> tuple[str, ...]:
    """Name what the API group offers, then the template and the remediation of the node."""
    group = f"/apis/{template.api_version}"
    place, path = _places(patient, template)
    return (group,) if place is None or path is None else (group, path, place)


def advance(patient: Patient, template: Reference, timeout: timedelta) -> Progress:
    """Create the remediation, and follow its conditions."""
    place, path = _places(patient, template)
    if place is None or path is None:
        what = f"{template.api_version} has no {template.kind} here: is its operator installed?"
        return GaveUp(what)
    made_from, found = patient.read.get(path), patient.read.get(place)
    kind = template.kind.removesuffix(_TEMPLATE)
    what = f"{kind} {template.namespace}/{patient.name}"
    owner = _annotation(found, REQUESTED_BY)
    if found is not None and owner != patient.owner:
        who = f"NodeRemediation {owner}" if owner else "somebody else, a NodeHealthCheck perhaps,"
        message = f"{what} is there already: {who} asked for it"
        return Await("OthersAtWork", message, handover.again(patient, timeout))
    if made_from is None and found is None:
        return GaveUp(f"there is no {template.kind} {template.namespace}/{template.name}")
    asking = Asking(
        via=VIA,
        place=place,
        what=what,
        effects=(Create(place.rpartition("/")[0], _body(patient, template, made_from or {})),),
        back=(*_stop(patient, place, found), Withdraw(place, patient.owner)),
        there=found is not None and not found["metadata"].get("deletionTimestamp"),
        course=_course(patient, what, found or {}, timeout),
    )
    return handover.go_on(patient, asking, timeout)


def _places(patient: Patient, template: Reference) -> tuple[str | None, str | None]:
    """Return the paths of the remediation and of the template; None until they are known."""
    group = f"/apis/{template.api_version}"
    offered = (patient.read.get(group) or {}).get("resources") or ()
    names = {one.get("kind"): one.get("name") for one in offered if "/" not in one.get("name", "/")}
    many = names.get(template.kind.removesuffix(_TEMPLATE))
    templates = names.get(template.kind)
    if not many or not templates:
        return None, None
    base = f"{group}/namespaces/{template.namespace}"
    return f"{base}/{many}/{patient.name}", f"{base}/{templates}/{template.name}"


def _body(patient: Patient, template: Reference, made_from: Mapping[str, Any]) -> Mapping[str, Any]:
    owner = {
        "apiVersion": "v1",
        "kind": "Node",
        "name": patient.name,
        "uid": patient.uid,
        "blockOwnerDeletion": False,
    }
    inner = (made_from.get("spec") or {}).get("template") or {}
    return {
        "apiVersion": template.api_version,
        "kind": template.kind.removesuffix(_TEMPLATE),
        "metadata": {
            "name": patient.name,
            "namespace": template.namespace,
            "annotations": {NODE_NAME: patient.name, REQUESTED_BY: patient.owner},
            "ownerReferences": [owner],
        },
        "spec": inner.get("spec") or {},
    }


def _course(patient: Patient, what: str, found: Mapping[str, Any], timeout: timedelta) -> Progress:
    conditions, look = conditions_of(found), handover.again(patient, timeout)
    if is_true(conditions, "PermanentNodeDeletionExpected"):
        return Await("NodeLeaving", f"{what} is about to delete the node for good", look)
    if is_true(conditions, "Succeeded"):
        return Finished(f"{what} succeeded: {said(conditions['Succeeded'])}")
    if is_true(conditions, "Succeeded", "False"):
        return GaveUp(f"{what} failed: {said(conditions['Succeeded'])}")
    if is_true(conditions, "Disabled"):
        return Await("HandedOver", f"{what} is disabled: {said(conditions['Disabled'])}", look)
    how = said(conditions.get("Processing"))
    return Await("HandedOver", f"{what} is at work and says {how}", look)


def _stop(patient: Patient, place: str, found: Mapping[str, Any] | None) -> tuple[Merge, ...]:
    """Return what tells the remediator to stop: else it would go on until it is through."""
    if found is None or _annotation(found, TIMED_OUT):
        return ()
    metadata = {
        "resourceVersion": found["metadata"]["resourceVersion"],
        "annotations": {TIMED_OUT: f"{patient.now:%Y-%m-%dT%H:%M:%SZ}"},
    }
    return (Merge(place, {"metadata": metadata}),)


def _annotation(body: Mapping[str, Any] | None, name: str) -> str:
    metadata = (body or {}).get("metadata") or {}
    return str((metadata.get("annotations") or {}).get(name) or "")
