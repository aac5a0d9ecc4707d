"""From all that is known to what one decision depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kernelhealth_operator.fleet import Fleet
from kernelhealth_operator.headcount import Standing
from kernelhealth_operator.policy import queue
from kernelhealth_operator.policy.situation import Outbreak, Policy, Situation
from kernelhealth_operator.spread import Terms


@dataclass(frozen=True, slots=True)
class Said:
    """What the API server itself has answered, or failed to say; no cache can tell it.

    *owner_missing*: the treatment named by the cordon does not exist. *taken_over*: somebody else
    made the Node unschedulable since we did. *unheard*: kinds whose watch says nothing any more.
    *deleted*: the open treatment that the node's object names does not exist any more. *read*:
    bodies by path, None for what does not exist.
    """

    owner_missing: bool = False
    taken_over: bool = False
    unheard: tuple[str, ...] = ()
    read: Mapping[str, Any] | None = None
    deleted: str | None = None


def situation(fleet: Fleet, standing: Standing, now: datetime, said: Said) -> Situation:
    """The situation of the node that *standing* is about, at *now* (UTC)."""
    name = standing.node.name
    policy, others = fleet.policies.get(standing.policy or ""), fleet.headcount.others(standing)
    return Situation(
        now=now,
        node=replace(standing.node, taken_over=said.taken_over),
        report=standing.report,
        policy=policy,
        treatment=fleet.open_treatment(name),
        others=others,
        control_plane_treated=fleet.headcount.control_plane_treated,
        recent=tuple(one for one in fleet.treatments_of(name) if one.status.phase.final),
        matched_since=standing.matched_since,
        owner_missing=said.owner_missing,
        unheard=said.unheard,
        ahead=_ahead(fleet, standing, policy, now),
        read=said.read,
        zone=fleet.headcount.others_in_zone(standing),
        outbreaks=_outbreaks(fleet, standing, policy, now),
        deleted=said.deleted,
    )


def _ahead(fleet: Fleet, standing: Standing, policy: Policy | None, now: datetime) -> int:
    if policy is None or policy.problems:
        return 0
    most = queue.slots(policy, fleet.headcount.others(standing))
    return fleet.headcount.ahead(standing, now, most)


def _outbreaks(
    fleet: Fleet, standing: Standing, policy: Policy | None, now: datetime
) -> tuple[Outbreak, ...]:
    if policy is None or not standing.illness:
        return ()
    nodes = fleet.headcount.tally(policy.name).nodes
    terms = Terms.of(policy.spec.disruption, nodes)
    return fleet.outbreaks.of(policy.name, standing.illness, terms, now)
