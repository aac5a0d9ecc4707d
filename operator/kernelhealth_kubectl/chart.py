"""All that the operator would know of the cluster, gathered for one look at it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kernelhealth_api import registry
from kernelhealth_api.remediation import Remediation
from kernelhealth_kubectl import reading
from kernelhealth_operator import catalogue, kinds, remediations
from kernelhealth_operator.agenda import Agenda
from kernelhealth_operator.answers import Answers
from kernelhealth_operator.cluster.errors import NotLeader
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.feeds import Feeds
from kernelhealth_operator.fleet import Clock, Fleet
from kernelhealth_operator.headcount import Listener
from kernelhealth_operator.policies import Policies
from kernelhealth_operator.silence import Hearing
from kernelhealth_operator.writes import Writes


@dataclass(frozen=True, slots=True)
class Chart:
    """The operator's own view of the cluster, made from lists instead of watches.

    *types* says for each reason which condition it is of. *notes* tell what could not be read.
    """

    fleet: Fleet
    answers: Answers
    remediations: tuple[Remediation[Any], ...]
    types: Mapping[str, str]
    clock: Clock
    notes: list[str]


async def draw(session: ApiSession) -> Chart:
    """Read everything that decisions depend on; raises ``ApiError``. Nothing is ever written."""
    actions = registry.load(remediations, "REMEDIATION", Remediation)
    known = catalogue.shipped(actions)
    clock = Clock(lambda: datetime.now(UTC), time.monotonic)
    # Whether an agent is silent is measured by the operator; what it says of that is believed.
    hearing = Hearing(float("inf"))
    fleet = Fleet(clock, hearing, Listener(_unheard, _unheard), known.reasons)
    standings, writes = Agenda(clock.seconds), Writes(session, _never)
    policies = Policies(fleet, standings, writes, known.catalogue, clock, period=0.0)
    notes: list[str] = []
    await Feeds(session, fleet, policies).sweep()
    for health in (await reading.healths(session, notes)).values():
        fleet.put_health(health)
    for node in (await reading.every(session, kinds.NODES, kinds.node_of, notes)).values():
        fleet.put_node(node)
    types = {reason: kind for kind, reasons in known.reasons.items() for reason in reasons}
    return Chart(fleet, Answers(session, fleet, policies), actions, types, clock, notes)


def _unheard(_: str) -> None:
    """Nobody waits for anything: it is looked once."""


def _never() -> float:
    raise NotLeader("the plugin leads nobody: it looks, and changes nothing")
