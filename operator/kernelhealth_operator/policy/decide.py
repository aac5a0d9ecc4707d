"""From a situation to a decision: the one entry to this package."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from kernelhealth_api.remediation import Remediation
from kernelhealth_operator.policy import ending, opening, reprieve, treating
from kernelhealth_operator.policy.case import Case
from kernelhealth_operator.policy.decision import Decision
from kernelhealth_operator.policy.situation import Situation, Treatment


def decide(situation: Situation, remediations: Iterable[Remediation[Any]]) -> Decision:
    """Return what to do about the node of *situation*, and why or why not.

    Nothing is remembered between calls: everything follows from the situation, so that the
    operator can be stopped anywhere and another one goes on. A situation in which nothing is left
    to do gives no steps. The life of a NodeRemediation:

    - *Proposed* (a person must approve) or *Waiting* (for room, a turn, the end of a pause)
    - *Running*: the budget is taken, the actions are taken one after the other
    - *Verifying*: the findings are gone, ``healthySince`` counts; back to Running if they return
    - *Succeeded*, or *Cancelled*: the node was given back, or there was nothing to give back
    """
    known = {remediation.name: remediation for remediation in remediations}
    if (noted := reprieve.heard(situation)) is not None:
        return noted
    if situation.treatment is None:
        return opening.open_or_wait(situation, known)
    return treating.treat(Case(situation, situation.treatment, known))


def abandon(treatment: Treatment, now: datetime) -> Decision:
    """Return what to do about a *treatment* whose Node does not exist any more."""
    if treatment.status.phase.final:
        return Decision()
    message = f"NodeGone: Node {treatment.spec.node_name} does not exist any more"
    return Decision((ending.gone(treatment, message, now),))
