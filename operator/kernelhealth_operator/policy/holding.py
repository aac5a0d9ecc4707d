"""Waiting: a treatment that may not move says for what, and nothing else happens."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.policy import checks
from kernelhealth_operator.policy.case import PENDING, Case
from kernelhealth_operator.policy.decision import Decision, Verdict

Verdicts = tuple[Verdict, ...]
ON_ITS_WAY: Final = timedelta(minutes=2)
"""After how long no API server carries out a request any more; by default it has a minute."""


def hold(case: Case, verdicts: Verdicts, no: Verdict, phase: Phase | None = None) -> Decision:
    """Wait, and say for what; the status is written only if that is news.

    A recovery that is being waited for does not go on counting while nobody knows how the node is:
    it starts anew.
    """
    changes: dict[str, object] = {
        "waiting_for": str(no),
        "waiting_until": no.expected,
        "phase": phase or case.status.phase,
    }
    if case.status.phase is Phase.VERIFYING and _in_doubt(case):
        changes |= {"phase": Phase.RUNNING, "healthy_since": None}
    if _idle(case):
        begun = {"started_at": None}
        rungs = tuple(rung.model_copy(update=begun) for rung in case.status.rungs)
        changes |= {"phase": Phase.WAITING, "started_at": None, "rungs": rungs}
    step = case.write(**changes)
    steps = (step,) if step.status != case.status else ()
    return Decision(steps, verdicts, str(no), no.retry_at)


def _idle(case: Case) -> bool:
    """Whether the treatment takes up room, but was stopped before it did anything.

    Two of them would wait for each other's room for good. The change of the Node that was to
    follow may still be on its way from an earlier leader, so it is given some time.
    """
    since = case.status.started_at
    untouched = all(rung.state == PENDING for rung in case.status.rungs)
    begun = case.status.phase is Phase.RUNNING and untouched and since is not None
    return begun and since is not None and since + ON_ITS_WAY <= case.situation.now


def _in_doubt(case: Case) -> bool:
    known = checks.report_current(case.situation).ok and checks.measured(case.situation).ok
    return not known or bool(case.findings)


def remaining(case: Case) -> Verdict:
    """Return the verdict on a node that all was done for and that is still sick."""
    reasons = ", ".join(dict.fromkeys(finding.reason for finding in case.findings))
    what = f"the node stays as it is until {reasons} is gone"
    return Verdict.no("cured", "FindingsRemain", what)
