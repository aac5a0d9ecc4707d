"""The status of a KernelHealthPolicy: counts, what is ahead, and what is wrong with it."""

from __future__ import annotations

from pydantic import Field

from kernelhealth_api.v1alpha1.resource import MAP_BY_TYPE, Condition, Resource, Timestamp


class KernelHealthPolicyStatus(Resource):
    """Counts over the nodes that the policy governs; never a list of nodes."""

    nodes: int = Field(0, ge=0, description="Nodes governed.")
    healthy: int = Field(0, ge=0, description="Nodes whose health is Healthy.")
    warning: int = Field(0, ge=0, description="Nodes whose health is Warning.")
    critical: int = Field(0, ge=0, description="Nodes whose health is Critical.")
    unknown: int = Field(0, ge=0, description="Nodes whose health is Unknown.")
    remediations_allowed: int = Field(
        0, ge=0, description="How many more nodes might be disrupted right now."
    )
    in_progress: int = Field(0, ge=0, description="Nodes under treatment.")
    pending: int = Field(0, ge=0, description="Treatments that wait for approval or room.")
    overridden: int = Field(
        0,
        ge=0,
        description="Nodes that are selected, but governed by a policy of higher priority or age.",
    )
    observed_generation: int | None = Field(
        None, ge=0, description="The generation of the spec that this status is about."
    )
    next_window: Timestamp | None = Field(
        None, description="When the next maintenance window opens."
    )
    reboots_waiting: int = Field(
        0, ge=0, description="Nodes that wait for their turn or for a window to be rebooted."
    )
    expected_through: Timestamp | None = Field(
        None,
        description="When the last of them will have been rebooted, at the pace of those before "
        "and with the windows and the budget as they are; absent: none waits, or it is not known.",
    )
    conditions: tuple[Condition, ...] = Field(
        (), description="Ready, Paused, StormActive, WindowTooShort.", json_schema_extra=MAP_BY_TYPE
    )
