"""NodeRemediation: one incident on one node, from the proposal to the proof that it helped."""

from __future__ import annotations

import enum
from typing import Any

from pydantic import Field

from kernelhealth_api.v1alpha1.finding import Finding
from kernelhealth_api.v1alpha1.resource import Resource, Timestamp


class Decision(enum.StrEnum):
    """What a person says about a treatment."""

    PENDING = "Pending"
    APPROVED = "Approved"
    REJECTED = "Rejected"
    CANCELLED = "Cancelled"


class Phase(enum.StrEnum):
    """Where a treatment stands; the last four are final."""

    PROPOSED = "Proposed"
    WAITING = "Waiting"
    RUNNING = "Running"
    VERIFYING = "Verifying"
    SUCCEEDED = "Succeeded"
    INEFFECTIVE = "Ineffective"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing follows this phase."""
        return self in {Phase.SUCCEEDED, Phase.INEFFECTIVE, Phase.FAILED, Phase.CANCELLED}


class NodeRemediationSpec(Resource):
    """The incident and the plan; everything but the decision stays as it was created."""

    node_name: str = Field(description="The node.", min_length=1, max_length=253)
    node_uid: str = Field(
        description="UID of the Node, so that a new node of the same name is not meant."
    )
    policy: str = Field(description="The policy that asked for the treatment.", min_length=1)
    rule: str = Field(description="The rule of that policy.", min_length=1)
    reasons: tuple[str, ...] = Field(
        description="Reasons of the findings that are treated.", min_length=1, max_length=32
    )
    boot_id: str | None = Field(
        None, alias="bootID", description="The boot of the node when it began."
    )
    plan: tuple[dict[str, dict[str, Any]], ...] = Field(
        description="The actions with their parameters, in order.", min_length=1, max_length=8
    )
    decision: Decision = Field(
        Decision.PENDING,
        description="Set by a person: Approved starts a proposal, Rejected or Cancelled ends it.",
    )


class RungState(Resource):
    """How far one action of the plan has come."""

    action: str = Field(description="The action.")
    state: str = Field(
        description="Pending, Running, Done, Failed, Skipped, Reverting, Reverted, or Overruled "
        "by a person."
    )
    started_at: Timestamp | None = Field(None, description="When it was begun.")
    stepped_at: Timestamp | None = Field(
        None, description="When something was last done for it, such as an eviction."
    )
    finished_at: Timestamp | None = Field(None, description="When it was done or given up.")
    message: str = Field("", description="What was done, or what stood against it.")
    requests: tuple[str, ...] = Field(
        (), description="Ids of what the agent was asked for, in order.", max_length=16
    )


class Preview(Resource):
    """What would come of emptying the node, as things are while the treatment waits."""

    as_of: Timestamp = Field(description="When it was looked.")
    message: str = Field("", description="All of it in a sentence.", max_length=2048)
    pods: int = Field(0, ge=0, description="Pods that would have to go.")
    names: tuple[str, ...] = Field(
        (), description="Them, in the order in which they would go; the first 64.", max_length=64
    )
    staying: int = Field(0, ge=0, description="Pods of DaemonSets and of the node itself.")
    forbidden_by: tuple[str, ...] = Field(
        (), description="PodDisruptionBudgets that forbid it at that time.", max_length=64
    )
    local_data: tuple[str, ...] = Field(
        (), description="Pods among them whose emptyDir volumes would be lost.", max_length=64
    )
    uncontrolled: tuple[str, ...] = Field(
        (), description="Pods among them that nobody would make anew.", max_length=64
    )
    cpu: str = Field("0", description="What they request of processors.", max_length=32)
    memory: str = Field("0", description="What they request of memory.", max_length=32)
    without_room: tuple[str, ...] = Field(
        (),
        description="Pods among them that by what they request would find no room on the other"
        " nodes that were looked at.",
        max_length=64,
    )
    nodes_looked_at: int = Field(
        0, ge=0, description="How many other nodes were looked at; a few, not all."
    )
    free_cpu: str = Field("0", description="What is free there of processors.", max_length=32)
    free_memory: str = Field("0", description="What is free there of memory.", max_length=32)
    nodes_available: int = Field(0, ge=0, description="Other nodes of the policy that take pods.")


class NodeRemediationStatus(Resource):
    """How far the treatment has come; written by the operator only."""

    phase: Phase = Field(Phase.PROPOSED, description="Where the treatment stands.")
    waiting_for: str | None = Field(
        None, description="What it waits for, as a sentence with the reason first."
    )
    waiting_until: Timestamp | None = Field(
        None, description="When that is expected to be over, where it can be told beforehand."
    )
    message: str = Field("", description="What happened last, or how it ended.")
    rungs: tuple[RungState, ...] = Field(
        (), description="One entry per action of the plan.", max_length=8
    )
    evidence: tuple[Finding, ...] = Field(
        (), description="The findings as they were when it began.", max_length=16
    )
    preview: Preview | None = Field(
        None, description="What would come of it; renewed while it waits to begin."
    )
    was_unschedulable: bool = Field(
        False, description="Whether the node was cordoned before by somebody else."
    )
    started_at: Timestamp | None = Field(None, description="When the first action was begun.")
    healthy_since: Timestamp | None = Field(
        None, description="Since when the findings are gone, while that is waited for."
    )
    finished_at: Timestamp | None = Field(None, description="When it ended.")
