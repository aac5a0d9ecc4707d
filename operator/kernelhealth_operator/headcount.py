"""Counts over the nodes of each policy, moved by one node's part at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kernelhealth_operator.lineup import Lineup
from kernelhealth_operator.policy import tally as counts
from kernelhealth_operator.policy.queue import Place
from kernelhealth_operator.policy.situation import Node, Report, Tally

_WOKEN = 16
"""How many look again when somebody before them went away; the others do with their next report."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What follows from all that is known about one node.

    *losers* are the policies that select it too, but do not govern it. *place* is where it stands
    in the queue of those that wait for treatment, *illness* since when it has been ill of what.
    """

    node: Node
    report: Report | None
    policy: str | None
    share: Tally
    silent: bool
    matched_since: Mapping[str, datetime] = field(default_factory=dict)
    losers: tuple[str, ...] = ()
    place: Place | None = None
    illness: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told: *node* has something to look at again, the counts of *policy* have moved."""

    node: Callable[[str], None]
    policy: Callable[[str], None]


class Headcount:
    """What all nodes add up to; a change of one node costs O(1), and wakes who waits for room."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._tallies: dict[str | None, Tally] = {}
        self._zones: dict[tuple[str | None, str], Tally] = {}
        self._masters: dict[str, None] = {}
        self._control_plane_treated: set[str] = set()
        self._overridden: Counter[str] = Counter()
        self._lineup = Lineup()

    @property
    def control_plane_treated(self) -> frozenset[str]:
        """The control-plane nodes of the whole cluster with a treatment under way."""
        return frozenset(self._control_plane_treated)

    def tally(self, policy: str | None) -> Tally:
        """The counts over the nodes that *policy* governs."""
        return self._tallies.get(policy, Tally())

    def overridden(self, policy: str) -> int:
        """How many nodes *policy* selects that another one governs."""
        return self._overridden[policy]

    def others(self, standing: Standing) -> Tally:
        """The counts over the other nodes of the same policy: without what this one added."""
        return counts.subtract(self.tally(standing.policy), standing.share)

    def others_in_zone(self, standing: Standing) -> Tally:
        """The counts over those of the others that are in the same zone."""
        zone = self._zones.get((standing.policy, standing.node.zone), Tally())
        return counts.subtract(zone, standing.share)

    def move(self, name: str, before: Standing | None, after: Standing | None) -> None:
        """Takes out what the node added *before*, and puts in what it adds *after*."""
        self._override(before, after)
        self._line_up(name, before, after)
        if _alike(before, after):
            return
        for standing, change in ((before, counts.subtract), (after, counts.add)):
            if standing is not None:
                old = self._tallies.get(standing.policy, Tally())
                self._tallies[standing.policy] = change(old, standing.share)
                place = standing.policy, standing.node.zone
                self._zones[place] = change(self._zones.get(place, Tally()), standing.share)
                if not self._zones[place].nodes:
                    del self._zones[place]
        self._control_plane_treated.discard(name)
        if after is not None and after.node.control_plane and after.share.in_progress:
            self._control_plane_treated.add(name)
        self._queue(name, before, after)

    def ahead(self, standing: Standing, now: datetime, most: int) -> int:
        """How many nodes of the same policy come before this one and could go at *now*.

        It is not counted further than to *most*.
        """
        if standing.place is None:
            return 0
        return self._lineup.ahead(standing.policy, standing.place, now, most)

    def _line_up(self, name: str, before: Standing | None, after: Standing | None) -> None:
        """Moves the node within the queue; should it have held others up, the first of them look.

        Who begins takes the room along for which it held the others up, so that nobody gains.
        """
        left = before.place if before is not None else None
        taken = after.place if after is not None else None
        same = before is not None and after is not None and before.policy == after.policy
        if same and left == taken:
            return
        if before is not None and left is not None:
            self._lineup.leave(before.policy, name, left)
        if after is not None and taken is not None:
            self._lineup.join(after.policy, name, taken)
        begins = after is not None and bool(after.share.in_progress)
        if before is not None and left is not None and left.for_room and not begins:
            for first in self._lineup.first(before.policy, _WOKEN):
                self._listener.node(first)

    def _override(self, before: Standing | None, after: Standing | None) -> None:
        lost, loses = before.losers if before else (), after.losers if after else ()
        if lost == loses:
            return
        self._overridden.subtract(lost)
        self._overridden.update(loses)
        for policy in {*lost, *loses}:
            if not self._overridden[policy]:
                del self._overridden[policy]
            self._listener.policy(policy)

    def _queue(self, name: str, before: Standing | None, after: Standing | None) -> None:
        """Wakes who can go now, and notes whether this node waits for others of its kind."""
        self._masters.pop(name, None)
        for standing in (before, after):
            if standing is not None and standing.policy is not None:
                self._listener.policy(standing.policy)
            if standing is not None and _made_room(before, after):
                self._wake(standing)
        if after is not None and after.share.pending and after.node.control_plane:
            self._masters[name] = None

    def _wake(self, standing: Standing) -> None:
        """Of thousands that may wait for room only those look that come first: see ``_line_up``."""
        for name in self._lineup.first(standing.policy, _WOKEN):
            self._listener.node(name)
        if standing.node.control_plane:
            for name in self._masters:
                self._listener.node(name)


def _alike(before: Standing | None, after: Standing | None) -> bool:
    """Whether nothing has changed that is counted."""
    if before is None or after is None:
        return before is after
    return (
        before.policy == after.policy
        and before.share == after.share
        and before.node.control_plane == after.node.control_plane
        and before.node.zone == after.node.zone
    )


def _made_room(before: Standing | None, after: Standing | None) -> bool:
    """Whether somebody who had to wait might go on after this change of one node."""
    if before is None or after is None or before.policy != after.policy:
        return True
    if before.node.zone != after.node.zone:
        return True
    old, new = before.share, after.share
    return (
        new.unavailable < old.unavailable
        or new.sound > old.sound
        or new.in_progress < old.in_progress
    )
