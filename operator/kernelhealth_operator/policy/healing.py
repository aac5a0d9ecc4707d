"""The course of a treatment that nobody objects to: act, wait until it helped, give back."""

from __future__ import annotations

from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.policy import ending, giving, guards, rungs
from kernelhealth_operator.policy.acting import act
from kernelhealth_operator.policy.case import DONE, REVERTING, Case
from kernelhealth_operator.policy.decision import Announce, Decision, Step, Verdict
from kernelhealth_operator.policy.holding import ON_ITS_WAY, remaining
from kernelhealth_operator.policy.target import confirm

Verdicts = tuple[Verdict, ...]


def proceed(case: Case) -> Decision:
    """Take the next step of a treatment whose report is current and that nothing holds."""
    verdicts = guards.ask(case.situation, guards.HOLDING)
    if (going_on := rungs.going_on(case, verdicts)) is not None:
        return going_on
    if not case.findings:
        return _recover(case, verdicts)
    if case.status.phase is Phase.VERIFYING or case.having(REVERTING):
        return _relapse(case, verdicts)
    return act(case, verdicts)


def _recover(case: Case, verdicts: Verdicts) -> Decision:
    policy = case.situation.policy
    done = case.having(DONE) or case.having(REVERTING) or giving.handed_over(case.treatment)
    if policy is None or not done:
        what = "the findings went away before anything was done"
        return ending.end(case, Phase.CANCELLED, Verdict.no("sick", "ClearedByItself", what))
    now, since = case.situation.now, case.status.healthy_since
    if case.status.phase is not Phase.VERIFYING or since is None:
        since = now
    until = since + policy.spec.recovery.healthy_delay
    if until <= now and (wait := rungs.at_work(case)) is not None:
        # Nobody's node is given back under the surgeon's hands, whatever has helped already.
        return _wait(case, verdicts, wait, phase=Phase.VERIFYING, healthy_since=since)
    if until <= now:
        what = f"the findings are gone since {since:%Y-%m-%d %H:%M:%SZ}"
        healed = Verdict("healed", ok=True, reason="Healed", message=what)
        return ending.end(case, Phase.SUCCEEDED, healed)
    if (wait := _being_given_back(case)) is not None:
        return _wait(case, verdicts, wait)
    what = f"the findings are gone; if they stay away it ends at {until:%Y-%m-%d %H:%M:%SZ}"
    waiting = Verdict.no("healed", "HealthyDelay", what, until)
    step = case.write(
        phase=Phase.VERIFYING,
        healthy_since=since,
        waiting_for=str(waiting),
        rungs=case.changed(REVERTING, to=DONE),
    )
    steps: tuple[Step, ...] = (step,) if step.status != case.status else ()
    if steps and case.status.phase is not Phase.VERIFYING:
        steps = (*steps, Announce("Normal", "RemediationVerifying", str(waiting)))
    return Decision(steps, (*verdicts, waiting), str(waiting), until)


def _relapse(case: Case, verdicts: Verdicts) -> Decision:
    if (wait := _being_given_back(case)) is not None:
        # The recovery is over at once: should they go away again, it is proved anew.
        what = "the findings came back while the node was being given back"
        over = {"phase": Phase.RUNNING, "healthy_since": None, "message": what}
        return _wait(case, verdicts, wait, **over)
    no = remaining(case)
    step = case.write(
        phase=Phase.RUNNING,
        healthy_since=None,
        waiting_for=str(no),
        message="the findings came back",
        rungs=case.changed(REVERTING, to=DONE),
    )
    # What looks as if it was not given back yet may only look so from here.
    sure = (confirm(case.situation.node),) if case.having(REVERTING) else ()
    told = Announce("Warning", "RemediationRelapsed", f"{step.status.message}: {no.message}")
    return Decision((*sure, step, told), (*verdicts, no), str(no))


def _being_given_back(case: Case) -> Verdict | None:
    """GivingBack: the change that gives the node back may still arrive; None: no more.

    Whoever sent it may be gone, and to confirm the Node does not make it another version. Were the
    intention dropped before, the node would look as if a person had taken it back.
    """
    states = (rung for rung in case.status.rungs if rung.state == REVERTING)
    sent = max((rung.finished_at for rung in states if rung.finished_at), default=None)
    if sent is None or sent + ON_ITS_WAY <= case.situation.now:
        return None
    until = sent + ON_ITS_WAY
    what = f"what gives the node back may still arrive until {until:%Y-%m-%d %H:%M:%SZ}"
    return Verdict.no("settled", "GivingBack", what, until)


def _wait(case: Case, verdicts: Verdicts, no: Verdict, **changes: object) -> Decision:
    """Say for what it waits; what was intended stays, for the node may be given back any moment."""
    step = case.write(waiting_for=str(no), **changes)
    steps = (step,) if step.status != case.status else ()
    return Decision(steps, (*verdicts, no), str(no), no.retry_at)
