"""Waiting: a treatment that may not move says for what, and nothing else happens."""

from __future__ import annotations

from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.policy import checks
from kernelhealth_operator.policy.case import Case
from kernelhealth_operator.policy.decision import Decision, Verdict

Verdicts = tuple[Verdict, ...]


def hold(case: Case, verdicts: Verdicts, no: Verdict, phase: Phase | None = None) -> Decision:
    """Wait, and say for what; the status is written only if that is news.

    A recovery that is being waited for does not go on counting while nobody knows how the node is:
    it starts anew.
    """
    changes: dict[str, object] = {"waiting_for": str(no), "phase": phase or case.status.phase}
    if case.status.phase is Phase.VERIFYING and _in_doubt(case):
        changes |= {"phase": Phase.RUNNING, "healthy_since": None}
    step = case.write(**changes)
    steps = (step,) if step.status != case.status else ()
    return Decision(steps, verdicts, str(no), no.retry_at)


def _in_doubt(case: Case) -> bool:
    known = checks.report_current(case.situation).ok and checks.measured(case.situation).ok
    return not known or bool(case.findings)


def remaining(case: Case) -> Verdict:
    """Return the verdict on a node that all was done for and that is still sick."""
    reasons = ", ".join(dict.fromkeys(finding.reason for finding in case.findings))
    what = f"the node stays as it is until {reasons} is gone"
    return Verdict.no("cured", "FindingsRemain", what)
