"""What is ahead of a policy: when its reboots are through at the pace of those before."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import ValidationError

from kernelhealth_operator.policy import backlog, budget
from kernelhealth_operator.policy.backlog import Backlog, Outlook
from kernelhealth_operator.policy.situation import Policy, Tally
from kernelhealth_operator.remediations.reboot import Reboot


def of(policy: Policy, tally: Tally, typical: timedelta | None, now: datetime) -> Outlook:
    """The outlook of *policy* whose nodes count *tally*; *typical* is how long one was away."""
    if not tally.reboots or policy.problems or policy.spec.pause_requests:
        return Outlook()
    at_once = budget.most_unavailable(policy.spec.disruption.max_unavailable, tally.nodes)
    each = typical or _expected(policy)
    waiting = Backlog(tally.reboots, min(at_once, tally.nodes), each)
    return backlog.foresee(waiting, policy.spec.maintenance_windows, now)


def _expected(policy: Policy) -> timedelta:
    """How long the policy itself expects one to take, with the time that it must stay healthy."""
    longest = Reboot().expected
    for step in (step for rule in policy.spec.rules for step in rule.actions):
        try:
            longest = max(longest, Reboot.model_validate(step["reboot"]).expected)
        except (KeyError, ValidationError):
            continue
    return longest + policy.spec.recovery.healthy_delay
