"""Which rule of a policy a report fires, and with which findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Match, Mode, Rule
from kernelhealth_operator.policy.age import UPTIME, aged, old_enough
from kernelhealth_operator.policy.situation import Policy, Report, Situation


@dataclass(frozen=True, slots=True)
class Firing:
    """A rule and the findings that it is to answer, worst first."""

    rule: Rule
    evidence: tuple[Finding, ...]

    @property
    def severity(self) -> Severity:
        """The worst severity among the evidence."""
        return self.evidence[0].severity

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of the evidence, each once, worst first."""
        return tuple(dict.fromkeys(finding.reason for finding in self.evidence))


def fired(policy: Policy, report: Report) -> Firing | None:
    """Return the rule that answers the worst finding, with all that it is to answer.

    Each finding belongs to the first rule that matches it. A rule that only observes thereby
    excepts its findings from the rules below it, but never hides other findings from them: it is
    returned only when no other rule has anything to answer.
    """
    firings = _firings(policy, report)
    acting = [each for each in firings if mode(policy, each.rule) is not Mode.OBSERVE]
    # max keeps the first of equals, which is the order of the rules.
    return max(acting or firings, key=lambda each: each.severity.rank, default=None)


def firings(policy: Policy, report: Report) -> tuple[Firing, ...]:
    """Return every rule that has findings to answer, with those that are its own to answer."""
    return tuple(_firings(policy, report))


def matching(policy: Policy, report: Report) -> tuple[str, ...]:
    """Return the names of the rules that have findings to answer: whose time counts for ``for``."""
    return tuple(each.rule.name for each in _firings(policy, report))


def answered(policy: Policy, report: Report) -> tuple[Finding, ...]:
    """Return the findings that any rule is about, be it only to observe them."""
    return tuple(found for each in _firings(policy, report) for found in each.evidence)


def own(policy: Policy, rule: Rule, report: Report) -> tuple[Finding, ...]:
    """Return the findings that *rule* may act on: what it matches, worst first.

    What a rule above it only observes is not among them. The age of a node is its own finding, and
    belongs to nobody else: nothing waits for it to go away but the reboot for its sake.
    """
    answerable = (found for found in _all(report) if _is_answered(policy, found))
    return _worst_first(found for found in answerable if matches(rule.match, found))


def unresolved(policy: Policy, report: Report) -> tuple[Finding, ...]:
    """Return the findings for which a node is not given back: all but what is only observed.

    Not only those of the rule it was treated by: it would be taken away again at once, or be
    handed to the workloads although a person has yet to decide about another finding.
    """
    return _worst_first(found for found in report.findings if _is_answered(policy, found))


def firing_now(situation: Situation) -> Firing | None:
    """Return what the node's report fires under its policy."""
    if situation.policy is None or situation.report is None:
        return None
    return fired(situation.policy, situation.report)


def rule_named(policy: Policy, name: str) -> Rule | None:
    """Return the rule called *name*."""
    return next((rule for rule in policy.spec.rules if rule.name == name), None)


def matches(wanted: Match, finding: Finding) -> bool:
    """Whether *finding* meets every part of *wanted* that is given; one without parts is never met.

    The schema refuses a match without reasons and causes; should one get through, it must not mean
    every finding there is. An age is met by nothing but an uptime, which asks for nothing else.
    """
    if wanted.uptime is not None or finding.reason == UPTIME:
        return old_enough(wanted, finding)
    return (
        bool(wanted.reasons or wanted.causes)
        and (not wanted.reasons or finding.reason in wanted.reasons)
        and (not wanted.causes or finding.cause in wanted.causes)
        and finding.severity.rank >= wanted.min_severity.rank
    )


def mode(policy: Policy, rule: Rule) -> Mode:
    """Return the mode in which *rule* works."""
    return rule.mode or policy.spec.mode


def _answering(policy: Policy, finding: Finding) -> Rule | None:
    return next((rule for rule in policy.spec.rules if matches(rule.match, finding)), None)


def _is_answered(policy: Policy, finding: Finding) -> bool:
    answering = _answering(policy, finding)
    return answering is not None and mode(policy, answering) is not Mode.OBSERVE


def _all(report: Report) -> tuple[Finding, ...]:
    age = aged(report)
    return report.findings if age is None else (*report.findings, age)


def _firings(policy: Policy, report: Report) -> list[Firing]:
    claimed: dict[str, list[Finding]] = {}
    for finding in _all(report):
        if rule := _answering(policy, finding):
            claimed.setdefault(rule.name, []).append(finding)
    return [
        Firing(rule, _worst_first(claimed.pop(rule.name)))
        for rule in policy.spec.rules
        if rule.name in claimed
    ]


def _worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: -finding.severity.rank))
