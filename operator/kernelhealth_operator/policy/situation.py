"""All that a decision about one node depends on, gathered before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kernelhealth_api.remediation import Taint, marked_by
from kernelhealth_api.v1alpha1.finding import Finding
from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec
from kernelhealth_api.v1alpha1.nodekernelhealth import Health
from kernelhealth_api.v1alpha1.noderemediation import NodeRemediationSpec, NodeRemediationStatus
from kernelhealth_api.v1alpha1.request import HostRequest, RequestStatus

IGNORE = "kernelhealth.io/ignore"
"""Label of a Node that nothing shall be done to; it counts when its value is ``true``."""
ZONE = "topology.kubernetes.io/zone"
"""Label of a Node that names the zone it is in."""
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
"""Label of the Nodes that run the control plane; its value does not matter."""


@dataclass(frozen=True, slots=True)
class Node:
    """As much of a Node as decisions look at.

    *cordon_owner* is the value of the annotation ``kernelhealth.io/cordoned-by``: the
    NodeRemediation that made the node unschedulable. *taken_over*: the API server says that
    somebody else made it so again since; a person did, faster than anybody looked. *taint_owner* is
    the value of ``kernelhealth.io/tainted-by``: the NodeRemediation that tainted the node.
    """

    name: str
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    created: datetime
    unschedulable: bool
    ready: bool
    annotations: Mapping[str, str] = field(default_factory=dict)
    cordon_owner: str | None = None
    boot_id: str | None = None
    deleting: bool = False
    taken_over: bool = False
    taints: tuple[Taint, ...] = ()
    taint_owner: str | None = None

    @property
    def marked_by(self) -> str | None:
        """The NodeRemediation whose mark the node bears, if it bears one."""
        return self.cordon_owner or self.taint_owner or marked_by(self.annotations)

    @property
    def zone(self) -> str:
        """The zone that the node is in; those that do not say it are in one of their own."""
        return self.labels.get(ZONE, "")

    @property
    def control_plane(self) -> bool:
        """Whether the node runs the control plane."""
        return CONTROL_PLANE in self.labels

    @property
    def opted_out(self) -> bool:
        """Whether somebody labelled the node so that nothing is done to it."""
        return self.labels.get(IGNORE) == "true"

    @property
    def available(self) -> bool:
        """Whether the node takes new pods."""
        shut = self.unschedulable or self.taint_owner is not None
        return self.ready and not shut and not self.deleting


@dataclass(frozen=True, slots=True)
class Report:
    """What the node's agent said last.

    *silent* says that the agent has been quiet for too long by the operator's clock, which makes
    everything else here old news. *reported_at* is when the report arrived, by that same clock.
    *unmeasured* are the reasons whose condition is Unknown although the node has what they are
    about (any reason of the condition but ``NotAvailable``): that they are not among the findings
    proves nothing. *asked* is what the agent is being asked for, *request* what it made of
    the last thing. *booted* is when the node's boot began by its own clock, *uptime* how long ago
    that was when it was last looked at the node.
    """

    health: Health
    findings: tuple[Finding, ...]
    boot_id: str | None
    silent: bool
    reported_at: datetime
    unmeasured: frozenset[str] = frozenset()
    asked: HostRequest | None = None
    request: RequestStatus | None = None
    booted: datetime | None = None
    uptime: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A KernelHealthPolicy; *problems* are sentences that say why it is not Ready."""

    name: str
    created: datetime
    generation: int
    spec: KernelHealthPolicySpec
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Treatment:
    """A NodeRemediation as it stands in the cluster."""

    name: str
    resource_version: str
    created: datetime
    spec: NodeRemediationSpec
    status: NodeRemediationStatus


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over the nodes that one policy governs; see ``tally.share`` for one node's part.

    *unavailable* are nodes that take no pods for whatever reason, with those about to be cordoned.
    *sound* are nodes that are available, reporting and free of Critical findings.
    *in_progress* are nodes with a treatment that has begun, *pending* those with one that waits.
    *reboots* are nodes that are to be rebooted in the course of theirs, and have not been yet.
    """

    nodes: int = 0
    unavailable: int = 0
    sound: int = 0
    healthy: int = 0
    warning: int = 0
    critical: int = 0
    unknown: int = 0
    in_progress: int = 0
    pending: int = 0
    reboots: int = 0


@dataclass(frozen=True, slots=True)
class Outbreak:
    """Many nodes of a policy that fell ill of the same *cause* at once: see ``storm``.

    *until* is when the cause will be left to cool down, unless another node falls ill of it before;
    *ill* is how many nodes are now. *treated* is how many have a treatment under way for it, and
    *healed* how many have been treated for it with success since *until*.
    """

    cause: str
    until: datetime
    ill: int
    treated: int = 0
    healed: int = 0


@dataclass(frozen=True, slots=True)
class Situation:
    """One node, what is known about it, and what is under way.

    *now* is the operator's clock in UTC. *policy* is the one that governs the node. *treatment* is
    the NodeRemediation of this node that has not ended, *recent* those that have, newest first.
    *others* counts over the other nodes of that policy: the sum without what this node was last
    added with, so that a newer view of the node cannot shift the sum.
    *control_plane_treated* names the control-plane nodes of the whole cluster, whatever their
    policy, that have a treatment under way (``tally.under_way``).
    *matched_since* says for each rule of the policy that the report matches (``match.matching``)
    since when it has done so without a break, by the operator's clock. *owner_missing* is true
    only if the API server itself answered that the NodeRemediation named by the cordon annotation
    does not exist; a cache that does not have it proves nothing. *unheard* names the kinds whose
    watch has been quiet for too long, so that *others* may be old news. *ahead* is how many nodes
    of the policy wait for room and come before this one (``queue.Place``). *read* has the bodies
    that a decision asked to be read live, by path; None for what does not exist. *zone* is as
    *others*, of the node's own zone. *outbreaks* are those that what the node has is part of.
    *deleted* names a treatment that was open and that the API server says does not exist any more.
    """

    now: datetime
    node: Node
    report: Report | None
    policy: Policy | None
    treatment: Treatment | None
    others: Tally
    control_plane_treated: frozenset[str]
    recent: tuple[Treatment, ...] = ()
    matched_since: Mapping[str, datetime] = field(default_factory=dict)
    owner_missing: bool = False
    unheard: tuple[str, ...] = ()
    ahead: int = 0
    read: Mapping[str, Any] | None = None
    zone: Tally = field(default_factory=Tally)
    outbreaks: tuple[Outbreak, ...] = ()
    deleted: str | None = None
