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
    finished_at: Timestamp | None = Field(None, description="When it was done or given up.")
    message: str = Field("", description="What was done, or what stood against it.")
    requests: tuple[str, ...] = Field(
        (), description="Ids of what the agent was asked for, in order.", max_length=16
    )


class NodeRemediationStatus(Resource):
    """How far the treatment has come; written by the operator only."""

    phase: Phase = Field(Phase.PROPOSED, description="Where the treatment stands.")
    waiting_for: str | None = Field(
        None, description="What it waits for, as a sentence with the reason first."
    )
    message: str = Field("", description="What happened last, or how it ended.")
    rungs: tuple[RungState, ...] = Field(
        (), description="One entry per action of the plan.", max_length=8
    )
    evidence: tuple[Finding, ...] = Field(
        (), description="The findings as they were when it began.", max_length=16
    )
    was_unschedulable: bool = Field(
        False, description="Whether the node was cordoned before by somebody else."
    )
    started_at: Timestamp | None = Field(None, description="When the first action was begun.")
    healthy_since: Timestamp | None = Field(
        None, description="Since when the findings are gone, while that is waited for."
    )
    finished_at: Timestamp | None = Field(None, description="When it ended.")
