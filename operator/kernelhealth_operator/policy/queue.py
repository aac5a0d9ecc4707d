"""Who goes first when not everybody can: the worst, then who runs out first, then who is oldest.

The order follows from what the treatments and reports say, and from nothing that could be lost: it
is the same after a restart, and goes on in the next window where it stopped in the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from kernelhealth_api.v1alpha1.finding import Severity
from kernelhealth_operator.policy import budget
from kernelhealth_operator.policy.decision import Verdict
from kernelhealth_operator.policy.forecast import runs_out
from kernelhealth_operator.policy.situation import Policy, Report, Situation, Tally, Treatment
from kernelhealth_operator.policy.tally import under_way

ROOM = frozenset({"MaxUnavailable", "MinHealthy", "Queued"})
"""Reasons for which a node waits that can go as soon as there is room for it."""
_NEVER = datetime.max.replace(tzinfo=UTC)

Rank = tuple[int, datetime, datetime, str]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a node stands in the queue of its policy: the lower the *rank*, the sooner.

    *for_room*: room is all that it waits for; or from *begins* on will be, as far as is known. One
    that waits for anything else holds nobody up.
    """

    rank: Rank
    for_room: bool
    begins: datetime | None = None

    def holds_up(self, now: datetime) -> bool:
        """Whether those behind it have to let it go first at *now*."""
        return self.for_room or (self.begins is not None and self.begins <= now)


def place(treatment: Treatment | None, report: Report | None) -> Place | None:
    """Return the place of a node with that open treatment; None: it waits for nothing."""
    if treatment is None or treatment.status.phase.final or under_way(treatment):
        return None
    current = () if report is None else report.findings
    reasons = frozenset(treatment.spec.reasons)
    found = [each for each in current if each.reason in reasons] or treatment.status.evidence
    worst = max((each.severity.rank for each in found), default=Severity.INFO.rank)
    forecast = runs_out(found)
    # To the hour: it is never exact, and the order shall not change with each report.
    due = _NEVER if forecast is None else _to_the_hour(forecast)
    waiting = (treatment.status.waiting_for or "").partition(":")[0]
    rank = (-worst, due, treatment.created, treatment.name)
    return Place(rank, waiting in ROOM, treatment.status.waiting_until)


def slots(policy: Policy, others: Tally) -> int:
    """Return how many may go at once, *others* being all but one of them; at least 1."""
    most = budget.most_unavailable(policy.spec.disruption.max_unavailable, others.nodes + 1)
    return max(1, most - others.unavailable)


def its_turn(situation: Situation) -> Verdict:
    """Queued: there is room, but for others who are worse or have waited longer."""
    name, policy, treatment = "its_turn", situation.policy, situation.treatment
    if policy is None or under_way(treatment) or not situation.node.available:
        # One that is out of service already takes up room that nobody else could have.
        return Verdict.yes(name, "it has its turn")
    if situation.ahead < slots(policy, situation.others):
        return Verdict.yes(name, "nobody who could go comes first")
    what = "others go first: worse ones, those that run out sooner, then those who waited longer"
    return Verdict.no(name, "Queued", what)


def _to_the_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
