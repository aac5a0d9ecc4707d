"""Nodes and reports as decisions see them, made from what the watches hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from kernelhealth_api.remediation import CORDONED_BY, TAINTED_BY
from kernelhealth_operator.cluster.views import NodeView
from kernelhealth_operator.held import HealthView
from kernelhealth_operator.policy.situation import Node, Report

NOT_AVAILABLE = "NotAvailable"
"""Reason of a condition about something that the node does not have at all."""

_EPOCH = datetime.fromtimestamp(0, UTC)


def node_of_view(view: NodeView) -> Node:
    """The Node as decisions look at it; without a Ready condition it is not ready."""
    ready = view.condition("Ready")
    return Node(
        name=view.name,
        uid=view.uid,
        resource_version=view.resource_version,
        labels=view.labels,
        created=view.created or _EPOCH,
        unschedulable=view.unschedulable,
        ready=ready is not None and ready.status == "True",
        annotations=view.annotations,
        cordon_owner=view.annotations.get(CORDONED_BY) or None,
        boot_id=view.boot_id or None,
        deleting=view.deleted is not None,
        taints=view.taints,
        taint_owner=view.annotations.get(TAINTED_BY) or None,
    )


def report_of(
    view: HealthView | None,
    silent: bool,  # noqa: FBT001 - the one thing that is told beside the object
    reported_at: datetime,
    reasons: Mapping[str, frozenset[str]],
    now: datetime | None = None,
) -> Report | None:
    """The report in *view*, None where an agent never wrote one.

    *reasons* says for each type of condition which reasons of findings it stands for. At *now* it
    is told how long the node has been up.
    """
    if view is None or view.stamp is None:
        return None
    unmeasured = (
        reasons.get(one.type, frozenset())
        for one in view.readings
        if one.status == "Unknown" and one.reason != NOT_AVAILABLE
    )
    return Report(
        health=view.health,
        findings=view.findings,
        boot_id=view.boot_id,
        silent=silent,
        reported_at=reported_at,
        unmeasured=frozenset().union(*unmeasured),
        asked=view.spec.request,
        request=view.request,
        booted=view.boot_time,
        uptime=None if now is None or view.boot_time is None else now - view.boot_time,
    )
