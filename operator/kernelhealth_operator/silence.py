"""Which agents have gone quiet, by the operator's own clock: the clocks of nodes drift.

A node has the full time from when the operator first saw it, from each refresh that arrived, and
from the end of each time in which the operator itself could hear nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kernelhealth_operator.held import HealthView

AGENT_SILENT = "AgentSilent"
"""Reason of the conditions of a node that nobody reports on any more."""

DEAF_AFTER = 90.0
"""Seconds without a byte after which the watch is taken to be cut; a bookmark comes each minute."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """The newest report of a node: the agent's *stamp*, and when it came (*at*, seconds; *time*).

    *known* says that the node's object was seen at all. *at* is None while the node is marked as
    silent since before the operator first saw it.
    """

    uid: str
    known: bool
    stamp: datetime | None
    at: float | None
    time: datetime


def marked(view: HealthView | None) -> bool:
    """Whether the object says that its agent is silent."""
    return view is not None and (
        view.problems.startswith(AGENT_SILENT)
        or any(one.reason == AGENT_SILENT for one in view.readings)
    )


def arrive(
    before: Arrival | None, uid: str, view: HealthView | None, at: float, time: datetime
) -> Arrival:
    """What is known of the node's newest report after *view* was seen.

    Only another stamp is a refresh: the operator's own writes to the object are none. A mark made
    before a restart of the operator stands until the agent is heard: its time is long over.
    """
    known, stamp = view is not None, None if view is None else view.stamp
    if before is None or before.uid != uid or (known and not before.known):
        return Arrival(uid, known, stamp, None if marked(view) else at, time)
    if known and stamp != before.stamp:
        return Arrival(uid, known, stamp, at, time)
    return before


class Hearing:
    """When the operator could hear reports at all; *after* is how long an agent may be quiet."""

    def __init__(self, after: float) -> None:
        self._after = after
        self._heard: float | None = None
        self._since = float("-inf")

    def listen(self, heard: float) -> None:
        """Notes when the watch last heard something (seconds); to be called every few seconds."""
        if self._heard is not None and heard - self._heard > DEAF_AFTER:
            self._since = heard
        self._heard = heard

    def silent(self, arrival: Arrival, now: float) -> bool:
        """Whether the agent is silent; never concluded while nobody can be heard."""
        if arrival.at is None:
            return True
        if self._heard is not None and now - self._heard > DEAF_AFTER:
            return False
        return now >= self.due(arrival)

    def due(self, arrival: Arrival) -> float:
        """When the agent counts as silent unless it is heard before; infinite if it does now."""
        if arrival.at is None:
            return float("inf")
        return max(arrival.at, self._since) + self._after
