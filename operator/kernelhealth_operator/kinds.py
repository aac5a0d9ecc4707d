"""The kinds the operator reads: where they are served, and what of them is held in memory."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from kernelhealth_api.v1alpha1 import API_VERSION
from kernelhealth_api.v1alpha1.kernelhealthpolicy import (
    KernelHealthPolicySpec,
)
from kernelhealth_api.v1alpha1.nodekernelhealth import (
    OPERATOR,
    NodeKernelHealthSpec,
    NodeKernelHealthStatus,
)
from kernelhealth_api.v1alpha1.noderemediation import NodeRemediationSpec, NodeRemediationStatus
from kernelhealth_api.v1alpha1.policystatus import KernelHealthPolicyStatus
from kernelhealth_operator.cluster.envelope import NarrowMetadata, NarrowObject
from kernelhealth_operator.cluster.kinds import Kind
from kernelhealth_operator.cluster.views import NodeModel, NodeView, view_of
from kernelhealth_operator.held import HealthView, PolicyView, Reading
from kernelhealth_operator.policy.situation import Treatment

NODES = "/api/v1/nodes"
HEALTHS = f"/apis/{API_VERSION}/nodekernelhealths"
POLICIES = f"/apis/{API_VERSION}/kernelhealthpolicies"
REMEDIATIONS = f"/apis/{API_VERSION}/noderemediations"
FIRST = 1_000_000
"""The highest priority that a policy can have."""
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"

MIRRORED = "kernelhealth.io/mirrored-conditions"
"""Annotation of a Node: the condition types that were mirrored onto it, with commas between."""


class _Owner(BaseModel):
    kind: str = ""
    uid: str = ""


class _OwnedMetadata(NarrowMetadata):
    owners: list[_Owner] = Field([], alias="ownerReferences")


class HealthModel(NarrowObject):
    """A NodeKernelHealth on the wire, reduced to the fields that are read."""

    metadata: _OwnedMetadata
    spec: NodeKernelHealthSpec = Field(default_factory=NodeKernelHealthSpec)
    status: NodeKernelHealthStatus = Field(default_factory=NodeKernelHealthStatus)


class _DatedMetadata(NarrowMetadata):
    created: datetime = Field(datetime.fromtimestamp(0, UTC), alias="creationTimestamp")
    generation: int = 0


class PolicyModel(NarrowObject):
    """A KernelHealthPolicy on the wire."""

    metadata: _DatedMetadata
    spec: KernelHealthPolicySpec = Field(default_factory=KernelHealthPolicySpec)
    status: KernelHealthPolicyStatus = Field(default_factory=KernelHealthPolicyStatus)


class RemediationModel(NarrowObject):
    """A NodeRemediation on the wire."""

    metadata: _DatedMetadata
    spec: NodeRemediationSpec
    status: NodeRemediationStatus = Field(default_factory=NodeRemediationStatus)


def node_view(model: NodeModel) -> NodeView:
    """The value of a Node; messages are kept of the conditions that are mirrored onto it."""
    mirrored = model.metadata.annotations.get(MIRRORED, "")
    return view_of(mirrored.split(","))(model)


def health_view(model: HealthModel) -> HealthView:
    """The value of a NodeKernelHealth; strings that thousands of nodes share are held once."""
    status, intern = model.status, sys.intern
    owners = (owner.uid for owner in model.metadata.owners if owner.kind == "Node")
    return HealthView(
        name=model.metadata.name,
        uid=model.metadata.uid,
        resource_version=model.metadata.resource_version,
        owner_uid=next(owners, None),
        spec=model.spec,
        health=status.health,
        problems=status.problems,
        readings=tuple(
            Reading(
                intern(one.type),
                intern(one.status),
                intern(one.reason),
                intern(one.message),
                one.last_transition_time,
            )
            for one in status.conditions
        ),
        findings=status.findings,
        boot_id=status.boot_id,
        stamp=status.last_report_time,
        remediation=status.remediation,
        request=status.request,
        boot_time=status.boot_time,
    )


def policy_view(model: PolicyModel) -> PolicyView:
    """The value of a KernelHealthPolicy."""
    metadata = model.metadata
    return PolicyView(
        metadata.name,
        metadata.uid,
        metadata.resource_version,
        metadata.created,
        metadata.generation,
        model.spec,
        model.status,
    )


def treatment(model: RemediationModel) -> Treatment:
    """The value of a NodeRemediation."""
    metadata = model.metadata
    return Treatment(
        metadata.name, metadata.resource_version, metadata.created, model.spec, model.status
    )


def nodes() -> Kind[NodeModel, NodeView]:
    """Nodes, for a narrow watch."""
    return Kind(NODES, NodeModel, node_view)


def healths() -> Kind[HealthModel, HealthView]:
    """NodeKernelHealths, for a narrow watch."""
    return Kind(HEALTHS, HealthModel, health_view)


def node_of(body: Mapping[str, Any]) -> NodeView:
    """The value of a Node that came as an answer."""
    return node_view(NodeModel.model_validate(body))


def cordon_taken_over(body: Mapping[str, Any]) -> bool:
    """Whether somebody else has made the Node unschedulable since the operator did, if it did.

    Who last changed a field is its manager; to set what is set already changes nothing. The API
    server gathers the oldest managers under one name: who they were is not known.
    Source: structured-merge-diff merge/update.go; apimachinery managedfields capmanagers.go.
    """
    managers = {
        entry.get("manager")
        for entry in body["metadata"].get("managedFields") or ()
        if "f:unschedulable" in (entry.get("fieldsV1") or {}).get("f:spec", {})
    }
    return not managers <= {OPERATOR, "ancient-changes"}


def health_of(body: Mapping[str, Any]) -> HealthView:
    """The value of a NodeKernelHealth that came as an answer."""
    return health_view(HealthModel.model_validate(body))


def policy_of(body: Mapping[str, Any]) -> PolicyView:
    """The value of a KernelHealthPolicy that came as an answer or event."""
    return policy_view(PolicyModel.model_validate(body))


def readable_policy(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What can be read of a KernelHealthPolicy that as a whole cannot: which nodes it governs.

    Without a selector that can be read it governs all of them, before any other policy: nobody
    shall act on nodes that it may be there to protect.
    """
    spec = body.get("spec")
    given = spec if isinstance(spec, Mapping) else {}
    kept = {key: given[key] for key in ("nodeSelector", "priority") if key in given}
    try:
        KernelHealthPolicySpec.model_validate(kept)
    except ValidationError:
        kept = {"priority": FIRST}
    return {"metadata": body["metadata"], "spec": kept}


def treatment_of(body: Mapping[str, Any]) -> Treatment:
    """The value of a NodeRemediation that came as an answer or event."""
    return treatment(RemediationModel.model_validate(body))
