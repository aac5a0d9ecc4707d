"""taint: new pods stay away, or all pods go, but those that tolerate it.

The annotation and the taint travel in one patch, as with the cordon: the annotation on a node
without the taint means that a person removed it. The list of taints is replaced as a whole, which
the server refuses should anybody have changed the node since it was seen.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field

from kernelhealth_api.procedure import PatchNode
from kernelhealth_api.remediation import (
    TAINTED_BY,
    DisruptionLevel,
    Permission,
    Remediation,
    Settings,
    Target,
)
from kernelhealth_api.remediation import Taint as NodeTaint

KEY = "kernelhealth.io/unhealthy"
"""Key of the taint; its value is the reason of what is treated."""


class Effect(enum.StrEnum):
    """What becomes of pods that do not tolerate the taint."""

    NO_SCHEDULE = "NoSchedule"
    NO_EXECUTE = "NoExecute"


class Taint(Settings):
    """What the taint does."""

    effect: Effect = Field(
        Effect.NO_SCHEDULE,
        description="NoSchedule keeps new pods away. NoExecute also ends those that run, without"
        " asking any PodDisruptionBudget.",
    )


def apply(target: Target, owner: str, settings: Taint) -> Iterator[PatchNode]:
    """Yield the patch that taints *target* in the name of *owner*."""
    if not any(taint.key == KEY for taint in target.taints):
        ours = NodeTaint(KEY, target.reason, settings.effect.value)
        yield _patch(target, owner, (*target.taints, ours))


def revert(target: Target, owner: str) -> Iterator[PatchNode]:
    """Yield the patch that takes the taint of *owner* away; none for one of anybody else."""
    if target.tainted_by == owner:
        others = tuple(taint for taint in target.taints if taint.key != KEY)
        yield _patch(target, None, others if others != target.taints else None)


def done(target: Target, owner: str) -> bool:  # noqa: ARG001
    """Whether *target* has the taint, by whomever."""
    return any(taint.key == KEY for taint in target.taints)


def applied(target: Target, owner: str) -> bool:
    """Whether *target* was tainted in the name of *owner*, even if a person undid it since."""
    return target.tainted_by == owner


def _patch(target: Target, owner: str | None, taints: Iterable[NodeTaint] | None) -> PatchNode:
    metadata = {
        "resourceVersion": target.resource_version,
        "annotations": {TAINTED_BY: owner},
    }
    body: dict[str, Any] = {"metadata": metadata}
    if taints is not None:
        body["spec"] = {"taints": [_wire(taint) for taint in taints]}
    return PatchNode(target.name, target.resource_version, body)


def _wire(taint: NodeTaint) -> dict[str, str]:
    wire = {
        "key": taint.key,
        "value": taint.value,
        "effect": taint.effect,
        "timeAdded": taint.time_added,
    }
    return {field: value for field, value in wire.items() if value}


REMEDIATION = Remediation(
    name="taint",
    summary=f"Taints the node with {KEY}=<reason> until its findings are gone: new pods that do not"
    " tolerate it stay away, and with NoExecute those that run have to go.",
    # Of the two effects the worse one.
    disruption=DisruptionLevel.EVICTION,
    settings=Taint,
    needs=(Permission("", "nodes", ("get", "patch")),),
    apply=apply,
    revert=revert,
    done=done,
    applied=applied,
    did="NodeTainted",
    undid="NodeUntainted",
)
