"""May this be done? Named chains of small checks, each with a reason for every no.

The first check that is not ok wins. Whatever is not known is a no: a check never passes for want
of data. The docstring of each check names its reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kernelhealth_operator.policy import (
    checks,
    foreign,
    futility,
    preventive,
    queue,
    reprieve,
    storm,
    turns,
)
from kernelhealth_operator.policy.decision import Verdict
from kernelhealth_operator.policy.situation import Situation

Check = Callable[[Situation], Verdict]
Chain = tuple[Check, ...]

OPENING: Chain = (
    # A policy must govern the node,
    checks.policy_exists,
    # be free of mistakes,
    checks.policy_ready,
    # and not be paused by anybody.
    checks.not_paused,
    # The node must be here to stay,
    checks.node_stays,
    # and nobody may have asked to let it be.
    checks.not_opted_out,
    # The control plane is treated only where that is meant.
    turns.control_plane_meant,
    # There is one treatment at a time,
    checks.no_other_treatment,
    # and the cordon of an earlier one is tidied up first.
    checks.no_leftover,
    # What the agent says must be current,
    checks.report_current,
    # be answered by a rule,
    checks.finding_there,
    # one that may do more than observe,
    checks.mode_acts,
    # and have been so for as long as the rule asks.
    checks.persisted,
    # A person who ended the last treatment is not contradicted at once.
    checks.cooled_down,
    # Not even if the object to which that was said is gone.
    reprieve.not_let_be,
    # What did not help is not repeated on end.
    futility.not_futile,
    # A node that is merely old is not rebooted again and again.
    preventive.not_in_vain,
)
"""Whether a NodeRemediation may be opened."""

HOLDING: Chain = (
    # A pause stops everything, also what would give nodes back.
    checks.not_paused,
    # A policy with mistakes may mean anything.
    checks.policy_ready,
    # A node on its way out needs nothing any more.
    checks.node_stays,
    # A silent node is neither sick nor recovered.
    checks.report_current,
    # What could not be measured this time is neither there nor gone.
    checks.measured,
)
"""Whether an open NodeRemediation may move at all."""

ENDING: Chain = (
    # A pause stops this too; everything else yields to a person's no.
    checks.not_paused,
)
"""Whether what was done may be undone because a person said no to this treatment."""

TIDYING: Chain = (
    # A pause stops this too.
    checks.not_paused,
)
"""Whether the leavings of a treatment that no longer exists may be tidied up."""

WITHDRAWING: Chain = (
    # A pause stops everything.
    checks.not_paused,
    # A policy with mistakes may mean anything.
    checks.policy_ready,
    # Nothing is given back on old news.
    checks.report_current,
)
"""Whether what was done may be undone because the policy no longer asks for it."""

ACTING: Chain = (
    # A person approves first, where the rule asks for that.
    checks.approved,
    # Nobody else is at work on the node.
    foreign.nobody_else_reboots,
    # Who counts the others must have heard of them.
    turns.others_known,
    # The control plane only where that is meant,
    turns.control_plane_meant,
    # and one node of it at a time.
    turns.control_plane_spared,
    # That many nodes fall ill at once of the same is no reason to treat all of them.
    storm.not_frozen,
    # Afterwards it is tried on one node, then on two, then on four.
    storm.paced,
    # There is room among the nodes that may be unavailable,
    turns.room_left,
    # in the node's zone as well,
    turns.room_in_zone,
    # and enough of the others are sound.
    turns.enough_sound,
    # and nobody is worse or has waited longer.
    queue.its_turn,
)
"""Whether the next action of an open NodeRemediation may be taken; asked after ``HOLDING``."""


def ask(situation: Situation, *chains: Sequence[Check]) -> tuple[Verdict, ...]:
    """Return the verdicts of *chains* up to the first that is not ok, or all of them."""
    verdicts = []
    for check in (check for chain in chains for check in chain):
        verdicts.append(check(situation))
        if not verdicts[-1].ok:
            break
    return tuple(verdicts)


def beyond(situation: Situation, verdicts: Sequence[Verdict], chain: Chain) -> tuple[Verdict, ...]:
    """Return what the checks of *chain* say that come after the last of *verdicts*.

    A decision does not ask them any more; a person who is to clear the way wants to know.
    """
    names = [check.__name__ for check in chain]
    if not verdicts or verdicts[-1].check not in names:
        return ()
    return tuple(check(situation) for check in chain[names.index(verdicts[-1].check) + 1 :])


def objection(verdicts: Sequence[Verdict]) -> Verdict | None:
    """Return the verdict that says no, if one does."""
    return verdicts[-1] if verdicts and not verdicts[-1].ok else None
