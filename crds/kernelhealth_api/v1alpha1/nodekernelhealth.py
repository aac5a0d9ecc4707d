"""NodeKernelHealth: the whole conversation between the operator and one node's agent.

The spec is what the operator wants of the node, the status is what the agent sees.
"""

from __future__ import annotations

import enum
from typing import Any

from pydantic import Field

from kernelhealth_api.v1alpha1.finding import Finding
from kernelhealth_api.v1alpha1.request import HostRequest, RequestStatus
from kernelhealth_api.v1alpha1.resource import MAP_BY_TYPE, Condition, Resource, Timestamp

MOST_FINDINGS = 16
MOST_CONDITIONS = 64
AGENT = "kernelhealth-agent"
"""Field manager of what the agent measures."""
OPERATOR = "kernelhealth-operator"
"""Field manager of the spec, of ``status.remediation``, and of a silent agent's conditions."""
REQUESTER = "kernelhealth-operator-request"
"""Field manager of ``spec.request``, so that asking and keeping the rest current never collide."""


class Health(enum.StrEnum):
    """The worst that is known of a node; Unknown as soon as nothing is measured."""

    HEALTHY = "Healthy"
    WARNING = "Warning"
    CRITICAL = "Critical"
    UNKNOWN = "Unknown"


class RemediationState(Resource):
    """Where the treatment of the node stands; written by the operator."""

    name: str = Field(description="The NodeRemediation that treats the node.")
    phase: str = Field(description="Its phase.")
    waiting_for: str | None = Field(None, description="What it waits for, if it waits.")


class NodeKernelHealthSpec(Resource):
    """What the operator wants of the node; written by the operator only."""

    policy: str | None = Field(
        None, description="The KernelHealthPolicy that governs this node; absent: none matches."
    )
    detectors: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Thresholds in force that differ from the defaults, by detector.",
    )
    request: HostRequest | None = Field(
        None, description="What the agent is asked to do on the host; absent: nothing."
    )


class NodeKernelHealthStatus(Resource):
    """What the agent last saw."""

    health: Health = Field(Health.UNKNOWN, description="The worst of all findings.")
    problems: str = Field(
        "",
        description="The findings in one line, worst first, as kubectl get prints.",
        max_length=512,
    )
    conditions: tuple[Condition, ...] = Field(
        (),
        description="One condition per detector; Unknown until measured.",
        max_length=MOST_CONDITIONS,
        json_schema_extra=MAP_BY_TYPE,
    )
    findings: tuple[Finding, ...] = Field(
        (), description="What is wrong, worst first.", max_length=MOST_FINDINGS
    )
    truncated: bool = Field(
        False, description="True when there were more findings than are listed."
    )
    suspected: int = Field(
        0, ge=0, description="How many observations wait to be confirmed by time."
    )
    boot_id: str | None = Field(None, alias="bootID", description="The boot that was looked at.")
    boot_time: Timestamp | None = Field(
        None, description="When that boot began, by the node's clock."
    )
    kernel_release: str | None = Field(None, description="As uname -r prints it.")
    os_image: str | None = Field(None, description="PRETTY_NAME of the host's os-release.")
    agent_version: str | None = Field(None, description="Version of the agent that reports.")
    policy: str | None = Field(
        None, description="The policy whose thresholds were in force when this was measured."
    )
    last_report_time: Timestamp | None = Field(
        None, description="When the agent last wrote, by the node's clock."
    )
    request: RequestStatus | None = Field(
        None, description="What the agent made of the last request of this boot."
    )
    remediation: RemediationState | None = Field(
        None, description="The treatment under way, if any."
    )
