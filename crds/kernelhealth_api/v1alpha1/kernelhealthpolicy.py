"""KernelHealthPolicy: which nodes, what counts as sick, what is done, and within which bounds."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from kernelhealth_api.duration import Duration
from kernelhealth_api.v1alpha1.finding import Severity
from kernelhealth_api.v1alpha1.resource import Resource
from kernelhealth_api.v1alpha1.selector import LabelSelector

COUNT_OR_PERCENT = r"^((100|[0-9]{1,2})%|[0-9]{1,5})$"

IntOrPercent = Annotated[
    str | int,
    Field(
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "pattern": COUNT_OR_PERCENT,
            "minimum": 0,
        }
    ),
]
"""A number of nodes, or a share of them such as ``10%``."""


class Mode(enum.StrEnum):
    """How far a policy may go by itself."""

    OBSERVE = "Observe"
    PROPOSE = "Propose"
    AUTO = "Auto"


class Match(Resource):
    """Which findings a rule is about; every given part must hold."""

    reasons: tuple[str, ...] = Field(
        (), description="Reasons of findings; any of them.", max_length=32
    )
    causes: tuple[str, ...] = Field(
        (), description="Causes of findings; any of them.", max_length=32
    )
    uptime: Duration | None = Field(
        None,
        description="Instead of findings: the node has been up for this long, so that it is "
        "rebooted before it falls ill.",
    )
    min_severity: Severity = Field(
        Severity.WARNING, description="Findings below this severity do not count."
    )


class Rule(Resource):
    """What is done about which findings."""

    name: str = Field(
        description="Name of the rule, unique within the policy.",
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=63,
    )
    match: Match = Field(description="The findings that the rule is about.")
    for_: Duration = Field(
        timedelta(0),
        alias="for",
        description="How long they must be there before anything happens.",
    )
    mode: Mode | None = Field(None, description="Overrides the mode of the policy for this rule.")
    actions: tuple[dict[str, dict[str, Any]], ...] = Field(
        description="What is done, mildest first; the next when the one before did not help.",
        min_length=1,
        max_length=8,
    )


class Disruption(Resource):
    """How many nodes may be out of service at once, and what is no accident any more."""

    max_unavailable: IntOrPercent = Field(
        "10%",
        description="Most nodes of this policy that may be unavailable at once, for whatever "
        "reason; a share is rounded down, but never below one unless it is 0%.",
    )
    min_healthy: IntOrPercent = Field(
        "51%",
        description="Fewest nodes of this policy that must stay available and free of Critical "
        "findings, or nothing is done; a share is rounded up.",
    )
    max_unavailable_per_zone: IntOrPercent | None = Field(
        None,
        description="Most nodes of this policy in one zone, by the label "
        "topology.kubernetes.io/zone, that may be unavailable at once; those without it count as "
        "a zone of their own. Rounded as maxUnavailable; absent: zones do not matter.",
    )
    storm_threshold: int = Field(
        5,
        description="When so many nodes fall ill of the same cause within stormCooldownDuration, "
        "no more nodes are treated for that cause; 0: whatever happens. At least one node in 500, "
        "should that be more.",
        ge=0,
        le=1000,
    )
    storm_cooldown_duration: Duration = Field(
        timedelta(minutes=15),
        description="How long no other node may have fallen ill of the cause until its treatments "
        "go on: of one node, then of as many more each time as were healed.",
    )


class MaintenanceWindow(Resource):
    """A time at which disruptive work may start."""

    schedule: str = Field(
        description="Start, as minute hour day-of-month month day-of-week.",
        pattern=r"^\s*[-0-9A-Za-z*/,#LW]+(\s+[-0-9A-Za-z*/,#LW]+){4}\s*$",
        max_length=128,
    )
    duration: Duration = Field(description="How long the window stays open.")
    time_zone: str = Field(
        "UTC",
        description="IANA time zone of the schedule, such as Europe/Berlin.",
        min_length=1,
        max_length=64,
    )


class Recovery(Resource):
    """When a node is given back."""

    healthy_delay: Duration = Field(
        timedelta(minutes=10),
        description="How long the findings must be gone before the node is uncordoned.",
    )
    cool_down: Duration = Field(
        timedelta(hours=1),
        description="How long a node is let be after a person cancelled its treatment.",
    )


class KernelHealthPolicySpec(Resource):
    """The policy as a platform team writes it."""

    node_selector: LabelSelector = Field(
        default_factory=LabelSelector,
        description="The nodes that this policy governs; empty: all of them. Those of the control "
        "plane are treated only where it names node-role.kubernetes.io/control-plane.",
    )
    priority: int = Field(
        0,
        description="Of several policies that select a node the highest wins, then the older.",
        ge=-1_000_000,
        le=1_000_000,
    )
    mode: Mode = Field(
        Mode.OBSERVE,
        description="Observe: report only. Propose: each treatment waits for approval. Auto: act.",
    )
    detectors: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Thresholds that differ from the defaults, by detector."
    )
    rules: tuple[Rule, ...] = Field(
        (),
        description="What is done about what.",
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    disruption: Disruption = Field(
        default_factory=Disruption, description="How many nodes may be out of service at once."
    )
    maintenance_windows: tuple[MaintenanceWindow, ...] = Field(
        (), description="When disruptive work may start; none: never by window.", max_length=16
    )
    recovery: Recovery = Field(default_factory=Recovery, description="When a node is given back.")
    pause_requests: tuple[str, ...] = Field(
        (), description="Any entry pauses the policy, and says who asked and why.", max_length=16
    )
