"""One node's part in the counts of its policy, so that a change of one node costs O(1)."""

from __future__ import annotations

from dataclasses import fields

from kernelhealth_api.v1alpha1.nodekernelhealth import Health
from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.policy.situation import Node, Report, Tally, Treatment

_COUNTS = tuple(each.name for each in fields(Tally))


def share(node: Node, report: Report | None, treatment: Treatment | None) -> Tally:
    """Return what *node* adds to the counts; every number is 0 or 1.

    A node whose treatment is under way counts as unavailable from the moment that is written, not
    only when the cordon is seen: two nodes must never take the same room. A node that nobody
    reports on is not sound: what was not measured is not healthy.
    """
    health = Health.UNKNOWN if report is None or report.silent else report.health
    busy = under_way(treatment)
    available = node.available and not busy
    return Tally(
        nodes=1,
        unavailable=int(not available),
        sound=int(available and health in {Health.HEALTHY, Health.WARNING}),
        healthy=int(health is Health.HEALTHY),
        warning=int(health is Health.WARNING),
        critical=int(health is Health.CRITICAL),
        unknown=int(health is Health.UNKNOWN),
        in_progress=int(busy),
        reboots=int(_awaits_reboot(treatment)),
        pending=int(treatment is not None and not busy and not treatment.status.phase.final),
    )


def under_way(treatment: Treatment | None) -> bool:
    """Whether *treatment* has begun and not ended, so that its node takes up room."""
    return treatment is not None and treatment.status.phase in {Phase.RUNNING, Phase.VERIFYING}


def _awaits_reboot(treatment: Treatment | None) -> bool:
    if treatment is None or treatment.status.phase.final:
        return False
    rungs = treatment.status.rungs
    return any(rung.action == "reboot" and rung.state == "Pending" for rung in rungs)


def add(left: Tally, right: Tally) -> Tally:
    """Return the sum of two counts."""
    return Tally(**{name: getattr(left, name) + getattr(right, name) for name in _COUNTS})


def subtract(left: Tally, right: Tally) -> Tally:
    """Return *left* without *right*, which was added to it before."""
    return Tally(**{name: getattr(left, name) - getattr(right, name) for name in _COUNTS})
