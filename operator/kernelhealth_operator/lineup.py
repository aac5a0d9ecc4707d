"""The nodes of each policy that wait to be treated, in the order in which they would go."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from datetime import datetime
from itertools import islice, takewhile

from kernelhealth_operator.policy.queue import Place

_Queues = dict[str | None, list[tuple[Place, str]]]


class Lineup:
    """One queue per policy, kept sorted: a node that moves costs a search, not a sort."""

    def __init__(self) -> None:
        self._queues: _Queues = {}
        self._for_room: _Queues = {}

    def leave(self, policy: str | None, name: str, place: Place) -> None:
        """Takes the node out that joined with that *place*."""
        for queues in self._of(place):
            queue = queues[policy]
            del queue[bisect_left(queue, (place, name))]
            if not queue:
                del queues[policy]

    def join(self, policy: str | None, name: str, place: Place) -> None:
        """Puts the node in at its *place*."""
        for queues in self._of(place):
            insort(queues.setdefault(policy, []), (place, name))

    def first(self, policy: str | None, most: int) -> Iterator[str]:
        """The nodes that go first of those that wait for nothing but room, *most* of them."""
        return (name for _, name in self._for_room.get(policy, ())[:most])

    def _of(self, place: Place) -> tuple[_Queues, ...]:
        return (self._queues, self._for_room) if place.for_room else (self._queues,)

    def ahead(self, policy: str | None, place: Place, now: datetime, most: int) -> int:
        """How many come before that *place* and could go at *now*; not counted beyond *most*."""
        queue = self._queues.get(policy, ())
        before = takewhile(lambda one: one.rank < place.rank, (one for one, _ in queue))
        return sum(1 for _ in islice((one for one in before if one.holds_up(now)), most))
