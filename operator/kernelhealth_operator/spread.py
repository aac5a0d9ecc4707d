"""How one cause spreads over the nodes of a policy, and since when that is a storm."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kernelhealth_api.v1alpha1.kernelhealthpolicy import Disruption
from kernelhealth_operator.policy.situation import Outbreak

_SHARE = 500
"""Fewer than one of so many nodes are never a storm."""
_FAR = "\U0010ffff"
"""Sorts behind every name of a node."""


@dataclass(frozen=True, slots=True)
class Terms:
    """From how many nodes (*threshold*, 0: never) within which time (*window*) on it is a storm."""

    threshold: int
    window: timedelta

    @classmethod
    def of(cls, disruption: Disruption, nodes: int) -> Terms:
        """Return what the policy says, for as many *nodes* as it governs.

        Among thousands of nodes a few fall ill in any quarter of an hour, and not together.
        """
        threshold = disruption.storm_threshold and max(disruption.storm_threshold, nodes // _SHARE)
        return cls(threshold, disruption.storm_cooldown_duration)


@dataclass(slots=True)
class Spread:
    """How one cause has spread over the nodes of one policy.

    Each node counts once, with when it last fell ill; those that got well stay counted for the
    length of the window, so that findings that come and go are not overlooked.
    """

    ill: set[str] = field(default_factory=set)
    treated: set[str] = field(default_factory=set)
    _onsets: dict[str, datetime] = field(default_factory=dict)
    _ordered: list[tuple[datetime, str]] = field(default_factory=list)
    _fresh: dict[str, None] = field(default_factory=dict)
    _well: dict[str, datetime] = field(default_factory=dict)
    _healed: dict[str, datetime] = field(default_factory=dict)
    _times: list[datetime] = field(default_factory=list)
    _terms: Terms | None = None
    _until: datetime | None = None

    def fall(self, node: str, since: datetime) -> None:
        """*node* has been ill since then, or since a treatment remembers if that is later."""
        self.ill.add(node)
        self._well.pop(node, None)
        self._set(node, max(since, self._onsets.get(node, since)))

    def remember(self, node: str, at: datetime) -> None:
        """*node* was ill when it was to be treated, before there was anybody to see it fall ill."""
        if node in self.ill:
            self._set(node, max(at, self._onsets[node]))
        elif node not in self._onsets:
            self._set(node, at)
            self._well[node] = at

    def recover(self, node: str, now: datetime) -> None:
        """*node* is not ill any more, or not known any more."""
        if node in self.ill:
            self.ill.discard(node)
            self._well[node] = now

    def heal(self, treatment: str, at: datetime) -> None:
        """A treatment has succeeded."""
        if treatment not in self._healed:
            self._healed[treatment] = at
            insort(self._times, at)

    def forget(self, treatment: str) -> None:
        """A treatment was deleted."""
        at = self._healed.pop(treatment, None)
        if at is not None:
            del self._times[bisect_left(self._times, at)]

    def outbreak(self, cause: str, terms: Terms, now: datetime) -> Outbreak | None:
        """Return the outbreak by *terms* at *now*; None: there is none, or it is all but over."""
        self._consider(terms, now)
        until = self._until
        if until is None or not terms.threshold:
            return None
        if until <= now and len(self.ill) < terms.threshold:
            # What is left is no more than falls ill on any day.
            return None
        healed = len(self._times) - bisect_right(self._times, until)
        return Outbreak(cause, until, len(self.ill), len(self.treated), healed)

    @property
    def empty(self) -> bool:
        """Whether nothing is known of it any more."""
        return not (self._onsets or self._healed or self.treated)

    def _set(self, node: str, since: datetime) -> None:
        if self._onsets.get(node) == since:
            return
        self._take_out(node)
        self._onsets[node] = since
        self._fresh[node] = None

    def _take_out(self, node: str) -> None:
        old = self._onsets.pop(node, None)
        if node in self._fresh:
            del self._fresh[node]
        elif old is not None:
            del self._ordered[bisect_left(self._ordered, (old, node))]

    def _consider(self, terms: Terms, now: datetime) -> None:
        """Take in what is new; each onset is looked at once, unless the terms have changed."""
        if terms != self._terms:
            self._terms, self._until = terms, None
            self._ordered.clear()
            self._fresh = dict.fromkeys(self._onsets)
        self._age(terms, now)
        fresh = sorted((self._onsets[node], node) for node in self._fresh)
        self._fresh.clear()
        self._insert(fresh)
        if terms.threshold:
            for entry in fresh:
                self._spread(entry, terms)

    def _insert(self, fresh: list[tuple[datetime, str]]) -> None:
        # One by one is cheap for a few, and all at once for many.
        if len(fresh) > math.isqrt(len(self._ordered)) + 8:
            self._ordered = sorted([*self._ordered, *fresh])
            return
        for entry in fresh:
            insort(self._ordered, entry)

    def _spread(self, entry: tuple[datetime, str], terms: Terms) -> None:
        """See whether that one belongs to a storm, and how far the storm reaches then."""
        place, most = bisect_left(self._ordered, entry), terms.threshold - 1
        last = min(place, len(self._ordered) - terms.threshold)
        for first in range(max(0, place - most), last + 1):
            begin, end = self._ordered[first][0], self._ordered[first + most][0]
            if end - begin <= terms.window:
                self._reach(end + terms.window)
        if self._until is not None and self._until - terms.window <= entry[0] < self._until:
            self._reach(entry[0] + terms.window)
        self._go_on(terms)

    def _reach(self, until: datetime) -> None:
        self._until = until if self._until is None else max(self._until, until)

    def _go_on(self, terms: Terms) -> None:
        """Whoever fell ill before it was over prolongs it; each is passed only once."""
        if self._until is None:
            return
        place = bisect_right(self._ordered, (self._until - terms.window, _FAR))
        while place < len(self._ordered) and self._ordered[place][0] < self._until:
            self._reach(self._ordered[place][0] + terms.window)
            place += 1

    def _age(self, terms: Terms, now: datetime) -> None:
        # In the order in which they got well, so that only those are looked at that go.
        for node in tuple(self._well):
            if self._well[node] + terms.window > now:
                break
            del self._well[node]
            self._take_out(node)
