"""How a treatment ends.

1. The intention is written: the actions that were taken become ``Reverting``, and ``healthySince``
   stays only if the treatment is to end as Succeeded.
2. The node is given back.
3. The end is written.

The first step is what tells a node that was given back by us from one that a person took back: a
crash after the second leaves a node without our mark and an action that is ``Reverting``, which
only the third step is missing to. If only the first happened, it is repeated: then it changes
nothing but since when the node is being given back, and is refused should the treatment have moved
on since it was looked at.

Where there is nothing to give back, only the end is written, after confirming that the node really
is as it was seen.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from kernelhealth_api.v1alpha1.noderemediation import Decision as Said
from kernelhealth_api.v1alpha1.noderemediation import Phase, RungState
from kernelhealth_operator.policy import asking, giving, reprieve
from kernelhealth_operator.policy.case import (
    DONE,
    FAILED,
    OVERRULED,
    REVERTED,
    REVERTING,
    RUNNING,
    Case,
)
from kernelhealth_operator.policy.decision import (
    Announce,
    ChangeNode,
    Decision,
    SetStatus,
    Step,
    Verdict,
)
from kernelhealth_operator.policy.situation import Treatment
from kernelhealth_operator.policy.tally import under_way
from kernelhealth_operator.policy.target import confirm, target_of

_REFUSALS = frozenset({Said.REJECTED, Said.CANCELLED})


def end(case: Case, phase: Phase, verdict: Verdict) -> Decision:
    """Return the next steps towards ending the treatment in *phase*, for the reason in *verdict*.

    *phase* is Succeeded or Cancelled.
    """
    steps: list[Step] = []
    target = target_of(case.situation.node)
    given_back = [
        (change, remediation.undid)
        for _, remediation in reversed(tuple(case.known()))
        for change in remediation.revert(target, case.treatment.name)
    ]
    if given_back:
        # All marks go in one change: a node that bears only some of them looks as if a person had
        # taken the others away.
        steps += giving.steps(target.name, [change for change, _ in given_back])
        events = dict.fromkeys(event for _, event in given_back)
        steps += [Announce("Normal", event, verdict.message) for event in events]
    if not steps:
        return replace(close(case, phase, str(verdict)), verdicts=(verdict,))
    succeeds = phase is Phase.SUCCEEDED
    intention = case.write(
        phase=Phase.VERIFYING if succeeds else Phase.RUNNING,
        healthy_since=(case.status.healthy_since or case.situation.now) if succeeds else None,
        rungs=case.changed(DONE, REVERTING, to=REVERTING),
        message=str(verdict),
        waiting_for=None,
    )
    return Decision((intention, *steps), (verdict,))


def close(case: Case, phase: Phase, message: str) -> Decision:
    """Return the steps that write the end of a treatment that has nothing to give back."""
    final = case.write(
        phase=phase,
        message=message,
        waiting_for=None,
        rungs=_left(case, case.changed(REVERTING, to=REVERTED), phase),
        finished_at=case.situation.now,
    )
    event = "RemediationSucceeded" if phase is Phase.SUCCEEDED else "RemediationCancelled"
    told = Announce("Normal", event, message)
    refused = phase is Phase.CANCELLED and case.treatment.spec.decision in _REFUSALS
    if refused:
        # Noted on the Node as well: the NodeRemediation may be deleted any time.
        return Decision((ChangeNode(reprieve.written(case.situation, final.name)), final, told))
    if not under_way(case.treatment):
        return Decision((final, told))
    return Decision((confirm(case.situation.node), final, told))


def give_up(case: Case, verdicts: tuple[Verdict, ...]) -> Decision:
    """Return the steps that end a treatment whose every action was taken in vain.

    What marks the node bears stay on it: nobody shall run pods on a node that is known to be sick.
    """
    reasons = ", ".join(dict.fromkeys(found.reason for found in case.findings))
    tried = ", ".join(rung.action for rung in case.status.rungs)
    what = f"{reasons} is still there after {tried}: a person has to look at the node"
    no = Verdict.no("cured", "Ineffective", what)
    final = case.write(
        phase=Phase.INEFFECTIVE,
        message=str(no),
        waiting_for=None,
        finished_at=case.situation.now,
    )
    told = Announce("Warning", "RemediationIneffective", what)
    return Decision((confirm(case.situation.node), final, told), (*verdicts, no))


def fail(case: Case, over: SetStatus, message: str) -> Decision:
    """Return the steps that end a treatment because what follows rests on what was given up.

    *over* is the step that writes that it was. What marks the node bears stay on it, as with one
    that was treated in vain.
    """
    no = Verdict.no("carried_out", "RemediationFailed", message)
    update = {"phase": Phase.FAILED, "message": str(no), "finished_at": case.situation.now}
    final = replace(over, status=over.status.model_copy(update=update))
    told = Announce("Warning", "RemediationFailed", message)
    return Decision((confirm(case.situation.node), final, told), (no,))


def overrule(case: Case, verdict: Verdict) -> Decision:
    """Return the steps that end the treatment because a person undid what it had done.

    Only our mark is taken from the node, on which it is noted that a person did. Without the second
    step the next decision sees an action that was taken and is undone, and comes here again.
    """
    target = target_of(case.situation.node)
    reverted = [
        change
        for remediation in case.remediations.values()
        for change in remediation.revert(target, case.treatment.name)
    ]
    noted = reprieve.written(case.situation, case.treatment.name)
    changes = giving.steps(target.name, [*reverted, noted])
    final = case.write(
        phase=Phase.CANCELLED,
        message=str(verdict),
        waiting_for=None,
        healthy_since=None,
        rungs=_left(case, case.changed(DONE, to=OVERRULED), Phase.CANCELLED),
        finished_at=case.situation.now,
    )
    told = Announce("Normal", "RemediationCancelled", str(verdict))
    return Decision((*changes, final, told), (verdict,))


def gone(treatment: Treatment, message: str, now: datetime) -> SetStatus:
    """Return the step that ends *treatment* because its node no longer exists.

    Where another project was asked to replace the node that is what was wanted.
    """
    status = treatment.status.model_copy(
        update={
            "phase": Phase.SUCCEEDED if giving.handed_over(treatment) else Phase.CANCELLED,
            "message": message,
            "waiting_for": None,
            "finished_at": now,
        }
    )
    return SetStatus(treatment.name, treatment.resource_version, status)


def _left(case: Case, rungs: tuple[RungState, ...], phase: Phase) -> tuple[RungState, ...]:
    """Return *rungs* without one that is under way: it helped before it was over, or is given up.

    What the agent has said of it meanwhile is not lost.
    """
    report = case.situation.report
    answer = None if report is None else report.request
    state = DONE if phase is Phase.SUCCEEDED else FAILED

    def over(rung: RungState) -> RungState:
        heard = answer is not None and answer.id in rung.requests
        message = asking.summed(rung.message, answer) if heard else rung.message
        update = {"state": state, "message": message, "finished_at": case.situation.now}
        return rung.model_copy(update=update)

    return tuple(over(rung) if rung.state == RUNNING else rung for rung in rungs)
