"""The checks that look at the other nodes: whether it is this one's turn."""

from __future__ import annotations

from datetime import timedelta

from kernelhealth_api.v1alpha1.selector import LabelSelector
from kernelhealth_operator.policy import budget
from kernelhealth_operator.policy.decision import Verdict
from kernelhealth_operator.policy.situation import CONTROL_PLANE, Situation

_PATIENCE = timedelta(seconds=10)
_AGAIN = timedelta(minutes=1)


def others_known(situation: Situation) -> Verdict:
    """ClusterUnheard: how the other nodes are is not known well enough to count them."""
    if situation.unheard:
        what = f"nothing was heard lately of the kinds {', '.join(situation.unheard)}"
        again = situation.now + _PATIENCE
        return Verdict.no("others_known", "ClusterUnheard", f"{what}: it is tried again", again)
    return Verdict.yes("others_known", "the other nodes are heard of")


def control_plane_meant(situation: Situation) -> Verdict:
    """ControlPlaneNotSelected: the policy selects the node without naming the control plane."""
    name, policy = "control_plane_meant", situation.policy
    if not situation.node.control_plane:
        return Verdict.yes(name, "the node does not run the control plane")
    if policy is not None and _names_control_plane(policy.spec.node_selector):
        return Verdict.yes(name, "the policy selects nodes of the control plane by their label")
    what = (
        f"the node runs the control plane, and the nodeSelector does not name {CONTROL_PLANE}: "
        "do so, for example with the operator Exists, to have such nodes treated"
    )
    return Verdict.no(name, "ControlPlaneNotSelected", what)


def control_plane_spared(situation: Situation) -> Verdict:
    """ControlPlaneBusy: another node of the control plane is under treatment."""
    busy = sorted(situation.control_plane_treated - {situation.node.name})
    if situation.node.control_plane and busy:
        what = f"control-plane node {busy[0]} is under treatment, and they take turns"
        return Verdict.no("control_plane_spared", "ControlPlaneBusy", what)
    return Verdict.yes("control_plane_spared", "no other control-plane node is under treatment")


def room_left(situation: Situation) -> Verdict:
    """MaxUnavailable: too many nodes are out of service already."""
    policy, others = situation.policy, situation.others
    if policy is not None and budget.room(policy.spec.disruption, others):
        return Verdict.yes("room_left", "one more node may be unavailable")
    most = policy.spec.disruption.max_unavailable if policy else 0
    what = f"no more than {most} of the policy's nodes may be unavailable at once"
    return Verdict.no("room_left", "MaxUnavailable", what)


def room_in_zone(situation: Situation) -> Verdict:
    """MaxUnavailablePerZone: too many nodes of this one's zone are out of service already."""
    name, policy, zone = "room_in_zone", situation.policy, situation.node.zone
    where = f"zone {zone}" if zone else "no zone, which count as one,"
    if policy is not None and budget.room_in_zone(policy.spec.disruption, situation.zone):
        return Verdict.yes(name, f"one more node of {where} may be unavailable")
    most = policy.spec.disruption.max_unavailable_per_zone if policy else 0
    what = f"no more than {most} of the policy's nodes of {where} may be unavailable at once"
    # Who waits for room is woken when there is some; who waits for that of a zone looks again.
    return Verdict.no(name, "MaxUnavailablePerZone", what, situation.now + _AGAIN)


def enough_sound(situation: Situation) -> Verdict:
    """MinHealthy: too few of the other nodes are sound."""
    policy, others = situation.policy, situation.others
    if policy is not None and budget.sound_enough(policy.spec.disruption, others):
        return Verdict.yes("enough_sound", "enough other nodes are healthy")
    fewest = policy.spec.disruption.min_healthy if policy else "all"
    what = f"at least {fewest} of the policy's nodes must stay available and healthy"
    return Verdict.no("enough_sound", "MinHealthy", what)


def _names_control_plane(selector: LabelSelector) -> bool:
    keys = (each.key for each in selector.match_expressions)
    return CONTROL_PLANE in {*selector.match_labels, *keys}
