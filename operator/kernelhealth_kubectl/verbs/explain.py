"""``explain``: why a node is treated, or is not, by the very checks that decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from kernelhealth_api.remediation import marked_by
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Mode
from kernelhealth_kubectl import chart as charts
from kernelhealth_kubectl import names
from kernelhealth_kubectl.chart import Chart
from kernelhealth_kubectl.pages.explanation import Explained, PolicyChains
from kernelhealth_operator import gather, upkeep
from kernelhealth_operator.care import Care
from kernelhealth_operator.cluster.errors import Forbidden
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.executor import DryRun
from kernelhealth_operator.headcount import Standing
from kernelhealth_operator.policy import explaining, match, select
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.decision import Decision
from kernelhealth_operator.policy.situation import Policy, Situation


@dataclass(slots=True)
class _Look:
    """One look at one node."""

    chart: Chart
    standing: Standing
    taken_over: bool
    notes: list[str]

    @property
    def name(self) -> str:
        return self.standing.node.name

    async def decision(self) -> Decision:
        """Return what the operator would decide now; what it reads live is read live as well."""
        if self.chart.fleet.open_treatment(self.name) is None:
            return decide(self.situation(), self.chart.remediations)
        fleet, answers, clock = self.chart.fleet, self.chart.answers, self.chart.clock
        care = Care(
            fleet, answers, DryRun(), self.chart.remediations, clock, lambda _: None, lambda: ()
        )
        try:
            return await care.treat(self.name)
        except Forbidden as error:
            # What is about to happen to pods may be secret; why it waits need not be.
            self.notes.append(f"not everything could be read: {error.message}")
            return decide(self.situation(), self.chart.remediations)

    def situation(self) -> Situation:
        """Return the situation of the node as far as it is known by now."""
        fleet, now = self.chart.fleet, self.chart.clock.utc()
        standing = fleet.refresh(self.name) or self.standing
        owner = marked_by(standing.node.annotations)
        missing = owner is not None and owner not in fleet.treatments
        view, health = fleet.nodes.get(self.name), fleet.healths.get(self.name)
        # All treatments were listed just now: what is not among them does not exist.
        lost = None if view is None else upkeep.lost(view, health, fleet.treatments, fleet.ended)
        said = gather.Said(owner_missing=missing, taken_over=self.taken_over, deleted=lost)
        found = gather.situation(fleet, standing, now, said)
        matched = {} if found.policy is None else self.matched_since(found.policy, now)
        return replace(found, matched_since=matched)

    def matched_since(self, policy: Policy, now: datetime) -> Mapping[str, datetime]:
        """Return since when the node has matched each rule, from what its report says.

        The operator counts from when it first heard of it, which only the operator knows.
        """
        report, health = self.standing.report, self.chart.fleet.healths.get(self.name)
        if report is None or health is None or report.silent:
            return {}
        shown = {reading.type: reading.changed for reading in health.readings}
        since = {}
        for firing in match.firings(policy, report):
            moments = [
                max(each.since, shown.get(self.chart.types.get(each.reason, ""), each.since))
                for each in firing.evidence
            ]
            since[firing.rule.name] = min(*moments, now)
        return since


async def explained(session: ApiSession, name: str) -> Explained:
    """Explain the node *name*; raises ``ComplaintError`` where there is none, and ``ApiError``."""
    chart = await charts.draw(session)
    live = await chart.answers.node(name) if name in chart.fleet.nodes else None
    standing = chart.fleet.standing(name)
    if live is None or standing is None:
        raise names.unknown(
            f"there is no node {name!r}", name, chart.fleet.nodes, "kubectl get nodes"
        )
    look = _Look(chart, standing, live.taken_over, [*chart.notes])
    decision = await look.decision()
    situation, health = look.situation(), chart.fleet.healths.get(name)
    treatment = situation.treatment
    policies = tuple(_policies(look, situation))
    unruled = treatment is None and not any(each.rules for each in policies)
    return Explained(
        node=name,
        health="Unknown" if health is None else str(health.health),
        problems="" if health is None else health.problems,
        now=situation.now,
        decision=decision,
        treatment=treatment,
        treated=explaining.of_treatment(situation, decision) if treatment else None,
        policies=policies,
        nothing=explaining.of_nothing(situation) if unruled else None,
        notes=(*look.notes, *_patience(situation)),
    )


def _policies(look: _Look, situation: Situation) -> Iterator[PolicyChains]:
    every, governing = look.chart.fleet.policies.values(), situation.policy
    selection = select.select(every, situation.node.labels)
    if governing is not None:
        treated = situation.treatment
        mine = treated is not None and treated.spec.policy == governing.name
        chains = tuple(
            each
            for each in explaining.of_rules(situation, look.chart.remediations)
            if not (mine and treated is not None and each.rule == treated.spec.rule)
        )
        yield PolicyChains(governing.name, "governs the node", chains)
    for loser in selection.losers:
        matched = look.matched_since(loser, situation.now)
        chains = explaining.of_loser(situation, loser, matched)
        yield PolicyChains(loser.name, "selects the node, but does not govern it", chains)
    for policy in sorted(every, key=lambda each: each.name):
        if not select.selects(policy.spec.node_selector, situation.node.labels):
            yield PolicyChains(policy.name, "does not select the node", ())


def _patience(situation: Situation) -> Iterator[str]:
    policy, report = situation.policy, situation.report
    if policy is None or report is None or situation.treatment is not None:
        return
    for firing in match.firings(policy, report):
        if firing.rule.for_ and match.mode(policy, firing.rule) is not Mode.OBSERVE:
            yield (
                f"how long rule {firing.rule.name} has matched is counted here from when the"
                " findings were first reported; the operator counts from when it first heard of"
                " them"
            )
