"""Karpenter: a condition of the Node for which its cloud provider has a repair policy.

Karpenter has no condition for others to use. Each provider brings a fixed list (RepairPolicies),
and a Node that has had one of these conditions for as long as that list says is terminated by
force, unless a fifth of its pool is unhealthy. So the condition has to be one of that list, and the
feature gate NodeRepair on. Sources: karpenter pkg/cloudprovider/types.go (RepairPolicy),
pkg/controllers/node/health/controller.go, pkg/operator/options/options.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from kernelhealth_api.procedure import Await, GaveUp, PatchStatus, Patient, Progress
from kernelhealth_operator.policy import handover
from kernelhealth_operator.policy.handover import Asking, conditions_of

VIA: Final = "karpenter"
REASON: Final = "ReplacementRequested"
"""Reason of the condition, by which it is told from one that somebody else has set."""
_CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"


def reads(patient: Patient) -> tuple[str, ...]:
    """Name the Node, and the NodeClaim that it belongs to."""
    node, claim = f"/api/v1/nodes/{patient.name}", _claim_of(patient)
    return (node,) if claim is None else (node, f"{_CLAIMS}/{claim}")


def advance(patient: Patient, condition: str, timeout: timedelta) -> Progress:
    """Set the condition, and follow what becomes of the NodeClaim."""
    name = _claim_of(patient)
    if name is None:
        return GaveUp("the Node belongs to no NodeClaim: Karpenter did not make it")
    claim = patient.read.get(f"{_CLAIMS}/{name}")
    if claim is None:
        return GaveUp(f"NodeClaim {name}, to which the Node belongs, is not there")
    leaving = bool(claim["metadata"].get("deletionTimestamp"))
    there = _is_ours(patient, condition)
    asking = Asking(
        via=VIA,
        place=condition,
        what=f"the repair of NodeClaim {name} by the condition {condition}",
        effects=(_set(patient, condition),),
        back=() if leaving or not there else (withdraw(patient.name, condition),),
        there=there or leaving,
        course=_course(patient, name, timeout, leaving=leaving),
    )
    return handover.go_on(patient, asking, timeout)


def withdraw(node: str, condition: str) -> PatchStatus:
    """Return what takes the condition off the Node."""
    return PatchStatus(node, {"status": {"conditions": [{"type": condition, "$patch": "delete"}]}})


def _set(patient: Patient, condition: str) -> PatchStatus:
    now = f"{patient.now:%Y-%m-%dT%H:%M:%SZ}"
    reasons = ", ".join(dict.fromkeys(found.reason for found in patient.findings))
    entry = {
        "type": condition,
        "status": "False",
        "reason": REASON,
        "message": f"NodeRemediation {patient.owner} asks to replace the node: {reasons}",
        "lastTransitionTime": now,
        "lastHeartbeatTime": now,
    }
    return PatchStatus(patient.name, {"status": {"conditions": [entry]}})


def _is_ours(patient: Patient, condition: str) -> bool:
    found = conditions_of(_node(patient)).get(condition, {})
    return found.get("status") == "False" and found.get("reason") == REASON


def _claim_of(patient: Patient) -> str | None:
    owners = (_node(patient).get("metadata") or {}).get("ownerReferences") or ()
    mine = (
        str(one["name"])
        for one in owners
        if one.get("kind") == "NodeClaim" and one.get("apiVersion", "").startswith("karpenter.sh/")
    )
    return next(mine, None)


def _node(patient: Patient) -> Mapping[str, Any]:
    return patient.read.get(f"/api/v1/nodes/{patient.name}") or {}


def _course(patient: Patient, name: str, timeout: timedelta, *, leaving: bool) -> Progress:
    look = handover.again(patient, timeout)
    if leaving:
        return Await(
            "NodeLeaving", f"NodeClaim {name} is being deleted, and its node with it", look
        )
    what = (
        f"Karpenter has not deleted NodeClaim {name} yet; it waits as long as its provider's repair"
        " policy says, and does nothing without the feature gate NodeRepair, without a policy for"
        " that condition, or while more than a fifth of the pool is unhealthy"
    )
    return Await("HandedOver", what, look)
