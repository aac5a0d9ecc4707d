"""An examination: a round, confirmed over time and made into a report, with what to remember."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kernelhealth_agent import conditions, confirmation, findings, measures, report
from kernelhealth_agent.confirmation import Seen, Verdict, Watch
from kernelhealth_agent.identity import Identity
from kernelhealth_agent.kernel.namespaces import Inventory, Remembered
from kernelhealth_agent.looks import Look, Past, Round, Survey
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.rounds import Rounds
from kernelhealth_agent.thresholds import Thresholds
from kernelhealth_api.v1alpha1.finding import Finding
from kernelhealth_api.v1alpha1.nodekernelhealth import NodeKernelHealthStatus
from kernelhealth_api.v1alpha1.resource import Condition


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is carried from one examination to the next.

    *memories* are what sources want to be remembered, by name.
    """

    namespaces: Mapping[int, Remembered] = field(default_factory=dict)
    watches: Mapping[str, Watch] = field(default_factory=dict)
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    memories: Mapping[str, Any] = field(default_factory=dict)

    def past(self, moment: Moment) -> Past:
        """Return what a round wants to know of it."""
        due = frozenset(
            name
            for name, watch in self.watches.items()
            if watch.due is not None and watch.due <= moment.uptime
        )
        return Past(self.namespaces, self.memories, due)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one examination.

    *due* is the uptime at which the next suspicion may be confirmed; *findings* are all of them,
    *suspected* counts the suspicions of each reason, *confirmed* is what the findings fold.
    """

    status: NodeKernelHealthStatus
    round: Round
    knowledge: Knowledge
    findings: tuple[Finding, ...]
    suspected: Mapping[str, int]
    due: float | None
    confirmed: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class Examiner:
    """Examines one host again and again; *remember* returns what to keep of an inventory.

    A status is made to fit into *most_bytes* on the wire; *lacking* says which capabilities the
    process does without, and what it cannot see for that.
    """

    rounds: Rounds
    survey: Survey
    remember: Callable[[Inventory], Mapping[int, Remembered]]
    identity: Identity
    version: str
    most_bytes: int = report.MOST_BYTES
    lacking: tuple[str, ...] = ()

    def examine(
        self,
        knowledge: Knowledge,
        thresholds: Mapping[str, Thresholds],
        moment: Moment,
        policy: str | None = None,
    ) -> Outcome:
        """Look once and return the report, and what to know the next time."""
        made = self.rounds.look(self.survey, knowledge.past(moment), thresholds, moment)
        verdicts = {
            look.detector.name: _verdict(look, knowledge, moment)
            for look in made.looks
            if look.failure is None
        }
        found = {look.detector.name: _findings(look, verdicts, moment) for look in made.looks}
        judged = self._conditions(made, verdicts, found, knowledge)
        suspected = _suspected(verdicts)
        about: dict[str, str | datetime | None] = {
            "agent_version": self.version,
            "policy": policy,
            "last_report_time": moment.wall,
        }
        every = [finding for group in found.values() for finding in group]
        status = report.assemble(
            judged, every, sum(suspected.values()), self.identity, self.most_bytes, **about
        )
        return Outcome(
            status=status,
            round=made,
            knowledge=self._learned(knowledge, made, verdicts, judged),
            findings=tuple(findings.worst_first(every)),
            suspected=suspected,
            due=min((v.due for v in verdicts.values() if v.due is not None), default=None),
            confirmed=tuple(seen for verdict in verdicts.values() for seen in verdict.confirmed),
        )

    def _conditions(
        self,
        made: Round,
        verdicts: Mapping[str, Verdict],
        found: Mapping[str, list[Finding]],
        knowledge: Knowledge,
    ) -> list[Condition]:
        blind = made.inventory.blind if made.inventory is not None else ()
        judged = []
        for look in made.looks:
            name = look.detector.name
            sight = conditions.Sight((*look.blind, *blind), self.lacking)
            new = conditions.condition(look, verdicts.get(name), found[name], sight, made.moment)
            judged.append(conditions.settled(new, knowledge.conditions))
        return judged

    def _learned(
        self,
        before: Knowledge,
        made: Round,
        verdicts: Mapping[str, Verdict],
        judged: list[Condition],
    ) -> Knowledge:
        """Return the knowledge after a round; a detector that failed knows what it knew."""
        names = {detector.name for detector in self.rounds.detectors}
        watches = {name: watch for name, watch in before.watches.items() if name in names}
        sources = {source.name for source, _ in self.rounds.pairs}
        memories = {name: kept for name, kept in before.memories.items() if name in sources}
        for look, (source, _) in zip(made.looks, self.rounds.pairs, strict=True):
            if look.fresh and look.memory is not None:
                memories[source.name] = look.memory
        inventory = made.inventory
        return Knowledge(
            namespaces=before.namespaces if inventory is None else self.remember(inventory),
            watches=watches | {name: verdict.watch for name, verdict in verdicts.items()},
            conditions={condition.type: condition for condition in judged},
            memories=memories,
        )


def _verdict(look: Look, knowledge: Knowledge, moment: Moment) -> Verdict:
    watch = knowledge.watches.get(look.detector.name)
    return confirmation.confirm(
        watch, look.observations, look.thresholds.params, moment, fresh=look.fresh
    )


def _findings(look: Look, verdicts: Mapping[str, Verdict], moment: Moment) -> list[Finding]:
    verdict = verdicts.get(look.detector.name)
    if verdict is None:
        return []
    setting = measures.Setting(look.thresholds.params, moment, verdict.watch.since, look.capacities)
    return findings.fold(verdict.confirmed, setting)


def _suspected(verdicts: Mapping[str, Verdict]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for verdict in verdicts.values():
        for seen in verdict.suspected:
            reason = seen.observation.reason.name
            counts[reason] = counts.get(reason, 0) + 1
    return counts
