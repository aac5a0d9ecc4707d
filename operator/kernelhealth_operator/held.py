"""What is held in memory of the operator's own kinds: narrow values, never bodies."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from kernelhealth_api.v1alpha1.finding import Finding
from kernelhealth_api.v1alpha1.kernelhealthpolicy import (
    KernelHealthPolicySpec,
)
from kernelhealth_api.v1alpha1.nodekernelhealth import (
    Health,
    NodeKernelHealthSpec,
    RemediationState,
)
from kernelhealth_api.v1alpha1.policystatus import KernelHealthPolicyStatus
from kernelhealth_api.v1alpha1.request import RequestStatus


@dataclass(frozen=True, slots=True)
class Reading:
    """One condition of a report; *changed* is when its status last changed."""

    type: str
    status: str
    reason: str
    message: str
    changed: datetime


@dataclass(frozen=True, slots=True)
class HealthView:
    """What the operator holds of a NodeKernelHealth; *stamp* is the agent's own time of writing.

    The stamp is only ever compared for being another one: node clocks drift.
    """

    name: str
    uid: str
    resource_version: str = field(compare=False)
    owner_uid: str | None
    spec: NodeKernelHealthSpec
    health: Health
    problems: str
    readings: tuple[Reading, ...]
    findings: tuple[Finding, ...]
    boot_id: str | None
    stamp: datetime | None
    remediation: RemediationState | None
    request: RequestStatus | None = None
    boot_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A KernelHealthPolicy as it stands in the cluster."""

    name: str
    uid: str
    resource_version: str = field(compare=False)
    created: datetime
    generation: int
    spec: KernelHealthPolicySpec
    status: KernelHealthPolicyStatus
