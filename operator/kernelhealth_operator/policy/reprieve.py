"""A person's no that outlives the NodeRemediation it was said to: a note on the Node.

Whoever deletes a NodeRemediation that has not ended means no, and the object that would tell is
gone. So the operator writes the no on the Node as soon as it misses the object, and keeps to it for
the policy's ``coolDown``. The note of a treatment that was rejected, cancelled or undone is written
before its end is, so that deleting what has ended makes nobody forget it either.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from kernelhealth_api.procedure import PatchNode
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Recovery
from kernelhealth_operator.policy.decision import Announce, ChangeNode, Decision, Verdict
from kernelhealth_operator.policy.situation import Node, Situation

LET_BE: Final = "kernelhealth.io/let-be"
"""Annotation of a Node: the NodeRemediation that a person ended, and after a space when that was
noticed (RFC 3339)."""


@dataclass(frozen=True, slots=True)
class Reprieve:
    """What a Node is let be for; *since* is None where the note cannot be read."""

    treatment: str
    since: datetime | None


def reprieve_of(node: Node) -> Reprieve | None:
    """Return the note that *node* bears, if it bears one."""
    text = node.annotations.get(LET_BE)
    if not text:
        return None
    treatment, _, moment = text.partition(" ")
    try:
        since = datetime.fromisoformat(moment)
    except ValueError:
        return Reprieve(treatment, None)
    return Reprieve(treatment, since if since.tzinfo else since.replace(tzinfo=UTC))


def lasts_until(situation: Situation) -> datetime | None:
    """Return until when the node is let be by its note; None: it has none that can be dated."""
    note = reprieve_of(situation.node)
    policy = situation.policy
    recovery = Recovery() if policy is None else policy.spec.recovery
    return None if note is None or note.since is None else note.since + recovery.cool_down


def not_let_be(situation: Situation) -> Verdict:
    """CoolingDown: a person deleted the last treatment or said no to it, which the Node tells."""
    name, note, until = "not_let_be", reprieve_of(situation.node), lasts_until(situation)
    if note is None:
        return Verdict.yes(name, "the Node does not say that it is to be let be")
    if until is None:
        what = f"the annotation {LET_BE} of the Node cannot be dated: remove it to have it treated"
        return Verdict.no(name, "CoolingDown", what)
    if until > situation.now:
        what = (
            f"a person ended NodeRemediation {note.treatment}, as the annotation {LET_BE} of the "
            f"Node tells; it is let be until {until:%Y-%m-%d %H:%M:%SZ}"
        )
        return Verdict.no(name, "CoolingDown", what, until)
    return Verdict.yes(name, f"it is long ago that a person ended {note.treatment}")


def heard(situation: Situation) -> Decision | None:
    """Note on the Node that a person deleted the treatment that was open; None: nobody did."""
    name, node, note = situation.deleted, situation.node, reprieve_of(situation.node)
    known = note is not None and note.treatment == name and not _over(situation)
    if name is None or known or node.deleting:
        return None
    what = f"a person deleted NodeRemediation {name}, so the node is let be for a while"
    told = Announce("Normal", "RemediationCancelled", f"Deleted: {what}")
    return Decision(
        (ChangeNode(written(situation, name)), told), waiting_for=f"CoolingDown: {what}"
    )


def written(situation: Situation, treatment: str) -> PatchNode:
    """Return the patch that notes that a person ended *treatment*, in whatever way."""
    stamp = situation.now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _patch(situation.node, f"{treatment} {stamp}")


def faded(situation: Situation) -> Decision | None:
    """Take a note off the Node whose time is over; None: there is none."""
    if not _over(situation) or situation.node.deleting:
        return None
    return Decision((ChangeNode(_patch(situation.node, None)),))


def _over(situation: Situation) -> bool:
    until = lasts_until(situation)
    return until is not None and until <= situation.now


def _patch(node: Node, text: str | None) -> PatchNode:
    metadata = {"resourceVersion": node.resource_version, "annotations": {LET_BE: text}}
    return PatchNode(node.name, node.resource_version, {"metadata": metadata})
