"""Which causes have broken out on many nodes at once, kept current at the cost of one node each.

Nothing of it is stored: after a restart it follows from since when the findings have been there,
and from the treatments that were opened for those that are gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.headcount import Standing
from kernelhealth_operator.policy import storm
from kernelhealth_operator.policy.situation import Outbreak, Treatment
from kernelhealth_operator.policy.tally import under_way
from kernelhealth_operator.spread import Spread, Terms


class Outbreaks:
    """What is spreading among the nodes of each policy; it has been watched since *began* (UTC)."""

    def __init__(self, began: datetime) -> None:
        self._began = began
        self._spreads: dict[tuple[str | None, str], Spread] = {}
        self._causes: dict[str | None, dict[str, None]] = {}

    def spread(self, policy: str | None, cause: str) -> Spread:
        """How *cause* has spread among the nodes that *policy* governs."""
        self._causes.setdefault(policy, {})[cause] = None
        return self._spreads.setdefault((policy, cause), Spread())

    def of(
        self, policy: str | None, causes: Iterable[str], terms: Terms, now: datetime
    ) -> tuple[Outbreak, ...]:
        """The outbreaks among *causes*."""
        known = ((cause, self._spreads.get((policy, cause))) for cause in causes)
        found = (one.outbreak(cause, terms, now) for cause, one in known if one is not None)
        return tuple(each for each in found if each is not None)

    def all(self, policy: str, terms: Terms, now: datetime) -> tuple[Outbreak, ...]:
        """All outbreaks among the nodes that *policy* governs, by the names of their causes."""
        found = self.of(policy, sorted(self._causes.get(policy, ())), terms, now)
        for cause in tuple(self._causes.get(policy, ())):
            if self._spreads[policy, cause].empty:
                del self._spreads[policy, cause], self._causes[policy][cause]
        return found

    def move(
        self, node: str, before: Standing | None, after: Standing | None, now: datetime
    ) -> frozenset[str]:
        """Takes in of what *node* is ill now; returns the policies whose outbreaks may change."""
        left = before.illness if before is not None else {}
        has = after.illness if after is not None else {}
        place = before.policy if before is not None else None
        other = after.policy if after is not None else None
        if place == other and left == has:
            return frozenset()
        for cause in left:
            if place != other or cause not in has:
                self.spread(place, cause).recover(node, now)
        for cause, since in has.items():
            self.spread(other, cause).fall(node, since)
        return frozenset(name for name in (place, other) if name)

    def note(self, treatment: Treatment) -> None:
        """Takes in a treatment: for what it was opened, and how far it has come."""
        for cause in storm.treated_for(treatment):
            spread = self.spread(treatment.spec.policy, cause)
            if treatment.created <= self._began:
                # Nobody here saw it, and the node's clock may be anything: the server's is not.
                spread.remember(treatment.spec.node_name, treatment.created)
            if under_way(treatment):
                spread.treated.add(treatment.name)
            else:
                spread.treated.discard(treatment.name)
            ended = treatment.status.finished_at
            if treatment.status.phase is Phase.SUCCEEDED and ended is not None:
                spread.heal(treatment.name, ended)

    def forget(self, treatment: Treatment) -> None:
        """Takes in that a treatment was deleted."""
        for cause in storm.treated_for(treatment):
            spread = self.spread(treatment.spec.policy, cause)
            spread.treated.discard(treatment.name)
            spread.forget(treatment.name)
