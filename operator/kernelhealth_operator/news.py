"""What people are told about findings: once when one appears, once when it has gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_operator.events import Announcer, Notice
from kernelhealth_operator.fleet import Fleet
from kernelhealth_operator.headcount import Standing
from kernelhealth_operator.silence import AGENT_SILENT


@dataclass(frozen=True, slots=True)
class Told:
    """What was said last about a node: the reasons of its findings, and whether it was silent."""

    reasons: frozenset[str] = frozenset()
    silent: bool = False


@dataclass(slots=True)
class News:
    """Compares each node with what was told of it last; *types*: which condition a reason is of.

    It is kept in memory only. Who begins to lead takes as told whatever the Node itself shows,
    since that is written right before it is told: what happened while nobody led is news.
    """

    fleet: Fleet
    announcer: Announcer
    types: Mapping[str, str]
    _told: dict[str, Told] = field(default_factory=dict)

    def begin(self) -> None:
        """Takes as told what the Nodes show."""
        names = [one.node.name for one in self.fleet.standings()]
        self._told = {name: self._shown(name) for name in names}

    def forget(self, name: str) -> None:
        """The node is no more."""
        self._told.pop(name, None)

    def _shown(self, name: str) -> Told:
        standing, view = self.fleet.standing(name), self.fleet.nodes.get(name)
        if standing is None or view is None:
            return Told()
        now, shown = told(standing), {one.type for one in view.conditions if one.status == "False"}
        # A reason of which nobody knows the condition may have been told: rather not twice.
        reasons = (one for one in now.reasons if self.types.get(one, one) in {one, *shown})
        return Told(frozenset(reasons), now.silent)

    def about(self, name: str) -> tuple[Notice, ...]:
        """What is new about the node, and is told from now on.

        To be asked in the same breath as what the Node is to show: a report that came in between
        would be told before it is shown, and told again by the next leader.
        """
        standing = self.fleet.standing(name)
        if standing is None:
            return ()
        before = self._told.get(name, Told())
        after = self._told[name] = told(standing, before)
        return tuple(notices(standing, before, after))

    async def tell(self, news: Iterable[Notice], now: datetime) -> None:
        """Says it to the people."""
        for notice in news:
            await self.announcer.say(notice, now)


def told(standing: Standing, before: Told | None = None) -> Told:
    """What there is to be told; a silent node's findings are neither there nor gone."""
    report = standing.report
    if report is None or standing.silent:
        return Told((before or Told()).reasons, standing.silent)
    return Told(frozenset(one.reason for one in report.findings), silent=False)


def notices(standing: Standing, before: Told, after: Told) -> Iterator[Notice]:
    """The difference, as notices."""
    node = standing.node
    findings = () if standing.report is None else standing.report.findings
    appeared = after.reasons - before.reasons
    seen: set[str] = set()
    for one in findings:
        if one.reason in appeared and one.reason not in seen:
            seen.add(one.reason)
            yield Notice(node.name, node.uid, _type(one), one.reason, one.message)
    for reason in sorted(before.reasons - after.reasons):
        note = f"{reason} is no longer found on the node."
        yield Notice(node.name, node.uid, "Normal", f"{reason}Cleared", note)
    if after.silent and not before.silent:
        note = "The node's agent does not report any more: its health is unknown."
        yield Notice(node.name, node.uid, "Warning", AGENT_SILENT, note)
    if before.silent and not after.silent:
        note = "The node's agent reports again."
        yield Notice(node.name, node.uid, "Normal", "AgentReporting", note)


def _type(finding: Finding) -> Literal["Normal", "Warning"]:
    return "Normal" if finding.severity is Severity.INFO else "Warning"
