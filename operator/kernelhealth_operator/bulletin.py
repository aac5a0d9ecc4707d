"""What the operator tells on a node's own object: its treatment, and that its agent is silent."""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_operator import upkeep
from kernelhealth_operator.answers import Answers
from kernelhealth_operator.cluster.errors import Conflict, NotFound
from kernelhealth_operator.fleet import Clock, Fleet
from kernelhealth_operator.policy.decision import Decision
from kernelhealth_operator.policy.reprieve import reprieve_of
from kernelhealth_operator.writes import Writes


@dataclass(frozen=True, slots=True)
class Bulletin:
    """Writes the operator's part of a NodeKernelHealth's status where it differs.

    *silence* is after how many seconds an agent counts as silent; *notes*: whether a person's no is
    noted on Nodes, which a dry run does not do.
    """

    fleet: Fleet
    answers: Answers
    writes: Writes
    clock: Clock
    silence: float
    notes: bool = True

    async def tell(self, name: str, decision: Decision) -> None:
        """Tells how it stands with the node after *decision*; raises ``ApiError``, ``NotLeader``.

        That an open treatment was deleted is to be read nowhere but there until it is noted on the
        Node; so it is not written over before.
        """
        health, standing = self.fleet.healths.get(name), self.fleet.standing(name)
        view = self.fleet.nodes.get(name)
        if health is None or standing is None or view is None or upkeep.foreign(view, health):
            return
        lost = upkeep.lost(view, health, self.fleet.treatments, self.fleet.ended)
        note = reprieve_of(standing.node)
        if self.notes and lost is not None and (note is None or note.treatment != lost):
            return
        state = upkeep.remediation(self.fleet.open_treatment(name), decision)
        silence = self.silence if standing.silent else None
        status = upkeep.status(health, state, silence, self.clock.utc())
        if status is None:
            return
        try:
            self.answers.fold_health(await self.writes.health_status(name, health.uid, status))
        except (Conflict, NotFound):
            # The object was deleted or made anew: the watch tells, and then all begins again.
            return
