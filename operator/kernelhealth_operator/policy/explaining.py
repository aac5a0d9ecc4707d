"""Why something is done about a node, or is not: what decides, told for each rule by itself.

Nothing here decides anything. The checks are those of the decision, asked of the same situation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kernelhealth_api.remediation import Remediation
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Mode, Rule
from kernelhealth_operator.policy import guards, match
from kernelhealth_operator.policy.age import UPTIME
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.decision import Decision, OpenRemediation, Verdict
from kernelhealth_operator.policy.situation import Policy, Situation, Treatment

_POINTLESS = frozenset({"policy_exists", "finding_there"})
"""Checks after whose no the others have nothing to say."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks say: *asked* up to the first no, as in the decision; *beyond* that the rest.

    *beyond* changes nothing, but tells what else stands in the way.
    """

    asked: tuple[Verdict, ...]
    beyond: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleChain:
    """Whether *rule* of *policy* would have the node treated for the findings with *reasons*.

    *behind* is the rule that goes first because it answers a worse finding.
    """

    policy: str
    rule: str
    mode: Mode
    reasons: tuple[str, ...]
    checked: Checked
    behind: str | None = None


def of_treatment(situation: Situation, decision: Decision) -> Checked:
    """Return what the checks say of the open treatment; *decision* is the one about it."""
    chain = (*guards.HOLDING, *guards.ACTING)
    rest = guards.beyond(situation, decision.verdicts, chain)
    return Checked(decision.verdicts, rest)


def of_rules(
    situation: Situation, remediations: Iterable[Remediation[Any]]
) -> tuple[RuleChain, ...]:
    """Return a chain for each rule of the policy that governs the node."""
    policy, known = situation.policy, tuple(remediations)
    if policy is None:
        return ()
    first = match.firing_now(situation)
    return tuple(
        _chain(situation, policy, rule, known, None if first is None else first.rule.name)
        for rule in policy.spec.rules
    )


def of_nothing(situation: Situation) -> Checked:
    """Return what the checks say of a node without a policy, or with one that has no rules."""
    return Checked(guards.ask(situation, guards.OPENING))


def of_loser(
    situation: Situation, loser: Policy, matched_since: Mapping[str, datetime]
) -> tuple[RuleChain, ...]:
    """Return a chain for each rule of *loser*, which selects the node but does not govern it.

    What would come of it among the other nodes that it would govern cannot be told.
    """
    governing = situation.policy.name if situation.policy else "none"
    what = f"policy {governing} governs the node: its priority is higher, or it is older"
    no = Verdict.no("governs", "Overridden", what)
    instead = replace(situation, policy=loser, matched_since=matched_since)
    chains = []
    for rule in loser.spec.rules:
        narrowed = only(instead, rule)
        # All but the first, that there is a policy: it would say that this one governs.
        asked = guards.ask(narrowed, guards.OPENING[1:])
        mode, reasons = match.mode(loser, rule), _reasons(narrowed)
        chains.append(RuleChain(loser.name, rule.name, mode, reasons, Checked((no,), asked)))
    return tuple(chains)


def only(situation: Situation, rule: Rule) -> Situation:
    """Return *situation* as if *rule* were the only one, with the findings that are its to answer.

    Those that belong to a rule above it do not belong to it because that one is left out.
    """
    policy, report = situation.policy, situation.report
    if policy is None:
        return situation
    spec = policy.spec.model_copy(update={"rules": (rule,)})
    alone = replace(policy, spec=spec)
    if report is None:
        return replace(situation, policy=alone)
    every = match.firings(policy, report)
    mine = next((each.evidence for each in every if each.rule.name == rule.name), ())
    aged = any(each.reason == UPTIME for each in mine)
    kept = replace(
        report,
        findings=tuple(each for each in mine if each.reason != UPTIME),
        uptime=report.uptime if aged else None,
    )
    return replace(situation, policy=alone, report=kept)


def _chain(
    situation: Situation,
    policy: Policy,
    rule: Rule,
    known: tuple[Remediation[Any], ...],
    first: str | None,
) -> RuleChain:
    narrowed = only(situation, rule)
    reasons = _reasons(narrowed)
    behind = first if reasons and first != rule.name else None
    checked = _opening(narrowed, known)
    return RuleChain(policy.name, rule.name, match.mode(policy, rule), reasons, checked, behind)


def _opening(narrowed: Situation, known: tuple[Remediation[Any], ...]) -> Checked:
    asked = guards.ask(narrowed, guards.OPENING)
    no = guards.objection(asked)
    if no is not None:
        return Checked(asked, _to_the_point(asked, guards.beyond(narrowed, asked, guards.OPENING)))
    decision = decide(narrowed, known)
    # Before it opens anything it may have something to tidy up, for which nothing was asked.
    asked = decision.verdicts or asked
    return Checked(asked, guards.beyond(_opened(narrowed, decision), asked, guards.ACTING))


def _to_the_point(asked: tuple[Verdict, ...], rest: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Return *rest* up to the first answer after which the others have nothing to say."""
    kept: list[Verdict] = []
    for each in rest:
        before = kept[-1] if kept else asked[-1]
        if not before.ok and before.check in _POINTLESS:
            break
        kept.append(each)
    return tuple(kept)


def _opened(narrowed: Situation, decision: Decision) -> Situation:
    for step in decision.steps:
        if isinstance(step, OpenRemediation):
            treatment = Treatment(step.name, "", narrowed.now, step.spec, step.status)
            return replace(narrowed, treatment=treatment)
    return narrowed


def _reasons(narrowed: Situation) -> tuple[str, ...]:
    firing = match.firing_now(narrowed)
    return () if firing is None else firing.reasons
