"""From all that is known to what one decision depends on."""

from __future__ import annotations

from datetime import datetime

from kernelhealth_operator.fleet import Fleet
from kernelhealth_operator.headcount import Standing
from kernelhealth_operator.policy.situation import Situation


def situation(fleet: Fleet, standing: Standing, now: datetime, *, owner_missing: bool) -> Situation:
    """The situation of the node that *standing* is about, at *now* (UTC).

    *owner_missing*: the API server said that the treatment named by the cordon does not exist.
    """
    name = standing.node.name
    policies = fleet.policies
    return Situation(
        now=now,
        node=standing.node,
        report=standing.report,
        policy=None if standing.policy is None else policies.get(standing.policy),
        treatment=fleet.open_treatment(name),
        others=fleet.headcount.others(standing),
        control_plane_treated=fleet.headcount.control_plane_treated,
        recent=tuple(one for one in fleet.treatments_of(name) if one.status.phase.final),
        matched_since=standing.matched_since,
        owner_missing=owner_missing,
    )
