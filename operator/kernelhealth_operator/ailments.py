"""Since when a node has had what it has, worked out anew with each report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from kernelhealth_operator.headcount import Standing
from kernelhealth_operator.policy import match, storm
from kernelhealth_operator.policy.situation import Policy, Report


def matched_since(
    before: Standing | None, policy: Policy | None, report: Report | None, now: datetime
) -> Mapping[str, datetime]:
    """For each rule of the policy that the report matches since when it has without a break."""
    since = before.matched_since if before and policy and before.policy == policy.name else {}
    if policy is None or report is None or report.silent:
        return since
    return {rule: since.get(rule, now) for rule in match.matching(policy, report)}


def illness(
    before: Standing | None, policy: Policy | None, report: Report | None, now: datetime
) -> Mapping[str, datetime]:
    """For each cause that a rule of the policy is about since when the node has been ill of it.

    A silent node is as ill as it was.
    """
    held = before.illness if before and policy and before.policy == policy.name else {}
    if policy is None or report is None:
        return {}
    if report.silent and before is not None:
        return held
    if not report.findings:
        return {}
    found = storm.newly(before.report if before else None, report, now)
    answered = storm.onsets(match.answered(policy, report))
    return {cause: held.get(cause, found[cause]) for cause in answered}
