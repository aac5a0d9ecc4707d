"""What earlier treatments of a node mean for the next one."""

from __future__ import annotations

import hashlib

from kernelhealth_api.v1alpha1.noderemediation import Decision
from kernelhealth_operator.policy.case import OVERRULED
from kernelhealth_operator.policy.situation import Node, Situation, Treatment


def ended_by_person(treatment: Treatment) -> bool:
    """Whether a person said no to *treatment*, in words or by undoing what it did."""
    return treatment.spec.decision in {Decision.REJECTED, Decision.CANCELLED} or any(
        rung.state == OVERRULED for rung in treatment.status.rungs
    )


def overruled(situation: Situation) -> Treatment | None:
    """Return the newest treatment of this very node that a person ended."""
    return next(
        (
            each
            for each in situation.recent
            if each.spec.node_uid == situation.node.uid and ended_by_person(each)
        ),
        None,
    )


def next_name(situation: Situation) -> str:
    """Return the name of the node's next NodeRemediation.

    It follows from the node and the treatment before it. So whoever opens the same incident again,
    because a reply was lost or a cache was late, is told that it exists already. What happened to
    an earlier node of the same name does not matter: a late cache may know less of that.
    """
    node = situation.node
    mine = [each.name for each in situation.recent if each.spec.node_uid == node.uid]
    name = _follower(node, mine[0] if mine else "")
    # Of two that began within a second nobody can tell which was the last, but by their names.
    while name in mine:
        name = _follower(node, name)
    return name


def _follower(node: Node, last: str) -> str:
    digest = hashlib.sha256(f"{node.uid}\n{last}".encode()).hexdigest()[:10]
    return f"{node.name[:200].rstrip('.-')}-{digest}"
