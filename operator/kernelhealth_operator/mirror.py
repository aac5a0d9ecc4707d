"""The conditions of a NodeKernelHealth on its Node, under their own types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kernelhealth_operator.cluster.views import NodeView
from kernelhealth_operator.held import HealthView, Reading
from kernelhealth_operator.kinds import MIRRORED

_MESSAGE = 1024
_OWN = re.compile(r"[A-Z][A-Za-z0-9]{0,54}Healthy")
"""The form of our own types. Whatever else an agent may write, the conditions of Kubernetes and
those that others repair or delete nodes by are not for it to set."""


def patch(node: NodeView, health: HealthView, now: datetime) -> Mapping[str, Any] | None:
    """The strategic merge patch of the Node's status that makes it say what *health* says.

    None when it does already. An annotation remembers which types are ours, so that those which
    the agent has ceased to report are removed, and nobody else's ever are.
    """
    readings = {one.type: one for one in health.readings if _OWN.fullmatch(one.type)}
    ours = {kind for kind in node.annotations.get(MIRRORED, "").split(",") if kind}
    changed = [_condition(node, one, now) for one in readings.values() if _differs(node, one)]
    there = {one.type for one in node.conditions}
    gone = sorted((ours - set(readings)) & there)
    removed = [{"type": kind, "$patch": "delete"} for kind in gone]
    body: dict[str, Any] = {}
    if changed or removed:
        body["status"] = {"conditions": changed + removed}
    if ours != set(readings):
        names = ",".join(sorted(readings)) or None
        body["metadata"] = {"annotations": {MIRRORED: names}}
    return body or None


def _differs(node: NodeView, reading: Reading) -> bool:
    held = node.condition(reading.type)
    wanted = (reading.status, reading.reason, reading.message[:_MESSAGE])
    return held is None or (held.status, held.reason, held.message) != wanted


def _condition(node: NodeView, reading: Reading, now: datetime) -> dict[str, str]:
    held = node.condition(reading.type)
    moved = now if held is None or held.status != reading.status else held.last_transition
    return {
        "type": reading.type,
        "status": reading.status,
        "reason": reading.reason,
        "message": reading.message[:_MESSAGE],
        "lastTransitionTime": _time(moved or now),
        "lastHeartbeatTime": _time(now),
    }


def _time(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
