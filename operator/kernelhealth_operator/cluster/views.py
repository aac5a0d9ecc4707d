"""A Node as the operator needs it: a narrow model of the wire, and the value held in memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, Field

from kernelhealth_api.remediation import Taint
from kernelhealth_operator.cluster.envelope import NarrowMetadata, NarrowObject
from kernelhealth_operator.cluster.kinds import Kind
from kernelhealth_operator.policy.foreign import WATCHED

ANNOTATION_PREFIX = "kernelhealth.io/"


@dataclass(frozen=True, slots=True)
class NodeCondition:
    """A condition of a Node; *message* is kept for the operator's own types only."""

    type: str
    status: str
    reason: str
    message: str
    last_transition: datetime | None


@dataclass(frozen=True, slots=True)
class NodeView:
    """What the operator knows of a Node.

    Two views are equal when they say the same, whatever the resourceVersion: a kubelet's heartbeat
    changes nothing. *annotations* are those with the project's prefix, without it cut off, and
    those of others that are looked at.
    """

    name: str
    uid: str
    resource_version: str = field(compare=False)
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    created: datetime | None
    deleted: datetime | None
    unschedulable: bool
    taints: tuple[Taint, ...]
    conditions: tuple[NodeCondition, ...]
    boot_id: str
    kernel_version: str

    def condition(self, kind: str) -> NodeCondition | None:
        """The condition of that type, None where the Node has none."""
        return next((one for one in self.conditions if one.type == kind), None)


class _Metadata(NarrowMetadata):
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    created: datetime | None = Field(None, alias="creationTimestamp")
    deleted: datetime | None = Field(None, alias="deletionTimestamp")


class _Taint(BaseModel):
    key: str
    value: str = ""
    effect: str
    time_added: str = Field("", alias="timeAdded")


class _Spec(BaseModel):
    unschedulable: bool = False
    taints: list[_Taint] = []


class _Condition(BaseModel):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition: datetime | None = Field(None, alias="lastTransitionTime")


class _NodeInfo(BaseModel):
    boot_id: str = Field("", alias="bootID")
    kernel_version: str = Field("", alias="kernelVersion")


class _Status(BaseModel):
    conditions: list[_Condition] = []
    node_info: _NodeInfo = Field(_NodeInfo(), alias="nodeInfo")


class NodeModel(NarrowObject):
    """A v1 Node on the wire, reduced to the fields that are read."""

    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = Field(default_factory=_Status)


def nodes(
    own_conditions: Collection[str], selectors: Mapping[str, str] | None = None
) -> Kind[NodeModel, NodeView]:
    """The kind Node for a NarrowWatch; *own_conditions* are the types whose messages are kept."""
    return Kind("/api/v1/nodes", NodeModel, view_of(own_conditions), selectors or {})


def view_of(own_conditions: Collection[str]) -> Callable[[NodeModel], NodeView]:
    """The function from the wire's model to the value held.

    Strings that thousands of nodes share are interned: they are held once.
    """
    own, intern = frozenset(own_conditions), sys.intern

    def condition(sent: _Condition) -> NodeCondition:
        message = sent.message if sent.type in own else ""
        return NodeCondition(
            intern(sent.type),
            intern(sent.status),
            intern(sent.reason),
            message,
            sent.last_transition,
        )

    def view(node: NodeModel) -> NodeView:
        metadata, status = node.metadata, node.status
        return NodeView(
            name=metadata.name,
            uid=metadata.uid,
            resource_version=metadata.resource_version,
            labels={intern(key): intern(value) for key, value in metadata.labels.items()},
            annotations={
                intern(key): value
                for key, value in metadata.annotations.items()
                if key.startswith(ANNOTATION_PREFIX) or key in WATCHED
            },
            created=metadata.created,
            deleted=metadata.deleted,
            unschedulable=node.spec.unschedulable,
            taints=tuple(
                Taint(intern(one.key), intern(one.value), intern(one.effect), one.time_added)
                for one in node.spec.taints
            ),
            conditions=tuple(condition(one) for one in status.conditions),
            boot_id=status.node_info.boot_id,
            kernel_version=intern(status.node_info.kernel_version),
        )

    return view
