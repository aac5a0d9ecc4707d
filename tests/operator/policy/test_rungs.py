"""The rungs of a ladder: when each is taken, when the next follows, and how it ends in vain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kernelhealth_api.procedure import AskAgent
from kernelhealth_api.v1alpha1.kernelhealthpolicy import MaintenanceWindow, Mode
from kernelhealth_api.v1alpha1.noderemediation import Decision as Said
from kernelhealth_api.v1alpha1.noderemediation import NodeRemediationStatus, Phase, RungState
from kernelhealth_api.v1alpha1.request import (
    Fixing,
    HostAction,
    HostRequest,
    RequestState,
    RequestStatus,
)
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.decision import (
    Announce,
    ChangeNode,
    Decision,
    Do,
    OpenRemediation,
    SetStatus,
)
from kernelhealth_operator.policy.situation import Situation

NAME, UNLOAD = "worker-1-abc", "UnloadRpcGssModule"
Plan = tuple[dict[str, dict[str, Any]], ...]
PLAN: Plan = (
    {"cordon": {}},
    {"fixConfig": {}},
    {"reclaim": {"verifyWithin": "5m"}},
)


def rung(action: str, state: str, **given: Any) -> RungState:
    return RungState(action=action, state=state, **given)


def case(build: Any, *rungs: RungState, **changes: Any) -> Situation:
    """A cordoned, leaking node in the middle of its ladder."""
    plan = changes.pop("plan", PLAN)
    findings = changes.pop("findings", (build.finding(cures=(UNLOAD,), since=build.now),))
    treatment = build.treatment(
        changes.pop("phase", Phase.RUNNING),
        plan=plan,
        rungs=rungs,
        started_at=build.now - timedelta(minutes=3),
        decision=changes.pop("decision", Said.PENDING),
    )
    node = build.node(unschedulable=True, cordon_owner=NAME, boot_id="boot-1")
    policy = changes.pop("policy", build.policy(build.rule(actions=plan)))
    report = build.report(*findings, boot_id="boot-1")
    report = replace(report, asked=changes.pop("asked", None), request=changes.pop("answer", None))
    values = {"node": node, "treatment": treatment, "policy": policy, "report": report}
    found: Situation = build.situation(**(values | changes))
    return found


def decided(build: Any, situation: Situation) -> Decision:
    return decide(situation, build.remediations)


def written(decision: Decision) -> NodeRemediationStatus:
    (status,) = (step.status for step in decision.steps if isinstance(step, SetStatus))
    return status


def states(decision: Decision) -> list[str]:
    return [each.state for each in written(decision).rungs]


def asked_for(decision: Decision) -> HostRequest:
    (effect,) = (step.effect for step in decision.steps if isinstance(step, Do))
    assert isinstance(effect, AskAgent)
    return effect.request


def request(build: Any, number: str = "r-1") -> HostRequest:
    fixing = Fixing(fix=UNLOAD, reasons=("NetworkNamespaceLeaked",))
    deadline = build.now + timedelta(minutes=5)
    return HostRequest(
        id=number, action=HostAction(reclaim=fixing), boot_id="boot-1", deadline=deadline
    )


def test_what_has_nothing_to_do_is_skipped_without_an_event(build: Any) -> None:
    situation = case(
        build, rung("cordon", "Done"), rung("fixConfig", "Pending"), rung("reclaim", "Pending")
    )

    decision = decided(build, situation)

    assert states(decision) == ["Done", "Skipped", "Pending"]
    assert not any(isinstance(step, Announce) for step in decision.steps)


@pytest.mark.parametrize(
    ("following", "waits"), [({"reclaim": {}}, False), ({"taint": {}}, True), ({"drain": {}}, True)]
)
def test_only_what_costs_the_workloads_something_waits_whether_a_fix_has_helped(
    build: Any, following: dict[str, dict[str, Any]], *, waits: bool
) -> None:
    (name,) = following
    plan: Plan = ({"cordon": {}}, {"fixConfig": {"verifyWithin": "5m"}}, following)
    situation = case(
        build,
        rung("cordon", "Done"),
        rung("fixConfig", "Done", finished_at=build.now - timedelta(minutes=1)),
        rung(name, "Pending"),
        plan=plan,
    )

    decision = decided(build, situation)

    assert ([each.reason for each in decision.verdicts][-1] == "Verifying") is waits


def test_an_agent_is_asked_after_that_was_written_with_the_id(build: Any) -> None:
    situation = case(
        build, rung("cordon", "Done"), rung("fixConfig", "Skipped"), rung("reclaim", "Pending")
    )

    decision = decided(build, situation)

    assert [type(step) for step in decision.steps] == [SetStatus, Do, Announce]
    assert states(decision) == ["Done", "Skipped", "Running"]
    assert written(decision).rungs[2].requests == (asked_for(decision).id,)
    assert written(decision).phase is Phase.RUNNING


def test_what_was_written_but_not_sent_is_sent_again_and_is_not_announced_again(
    build: Any,
) -> None:
    before = case(
        build, rung("cordon", "Done"), rung("fixConfig", "Skipped"), rung("reclaim", "Pending")
    )
    first = decided(build, before)
    assert before.treatment is not None
    stopped = replace(before, treatment=replace(before.treatment, status=written(first)))

    again = decided(build, replace(stopped, now=build.now + timedelta(seconds=20)))

    assert asked_for(again).id == asked_for(first).id
    assert [type(step) for step in again.steps] == [SetStatus, Do]
    assert written(again).rungs[2].requests == written(first).rungs[2].requests


def test_an_answer_ends_the_rung_and_what_was_done_has_its_time_to_help(build: Any) -> None:
    asked = request(build)
    answer = RequestStatus(id="r-1", state=RequestState.SUCCEEDED, message="unloaded")
    running = rung("reclaim", "Running", started_at=build.now, requests=("r-1",))
    situation = case(
        build,
        rung("cordon", "Done"),
        rung("fixConfig", "Skipped"),
        running,
        findings=(build.finding(cures=(), since=build.now),),
        asked=asked,
        answer=answer,
    )

    done = decided(build, situation)
    assert situation.treatment is not None
    after = replace(situation, treatment=replace(situation.treatment, status=written(done)))
    settling = decided(build, replace(after, now=build.now + timedelta(minutes=4)))

    assert states(done) == ["Done", "Skipped", "Done"]
    assert written(done).rungs[2].message == "Succeeded: unloaded"
    assert settling.waiting_for is not None
    assert settling.waiting_for.startswith("Verifying: reclaim was done")
    assert settling.due == build.now + timedelta(minutes=5)


def ladder_in_vain(build: Any, **changes: Any) -> Situation:
    done = {"finished_at": build.now - timedelta(minutes=6)}
    return case(
        build,
        rung("cordon", "Done", **done),
        rung("fixConfig", "Skipped", **done),
        rung("reclaim", "Done", **done),
        **changes,
    )


def test_when_all_was_in_vain_the_treatment_is_ineffective_and_the_node_keeps_its_cordon(
    build: Any,
) -> None:
    decision = decided(build, ladder_in_vain(build))

    changes = [step.action.body for step in decision.steps if isinstance(step, ChangeNode)]
    told = [step.reason for step in decision.steps if isinstance(step, Announce)]
    assert written(decision).phase is Phase.INEFFECTIVE
    assert written(decision).finished_at == build.now
    assert [body.get("spec") for body in changes] == [None]
    assert told == ["RemediationIneffective"]


def ended(build: Any, situation: Situation, **changes: Any) -> Situation:
    assert situation.treatment is not None
    status = written(decided(build, situation))
    over = replace(situation.treatment, status=status)
    return replace(situation, treatment=None, recent=(over,), **changes)


def test_the_cordon_of_what_was_in_vain_stays_while_the_node_is_sick(build: Any) -> None:
    sick = ended(build, ladder_in_vain(build), now=build.now + timedelta(hours=9))

    decision = decided(build, sick)

    assert decision.steps == ()
    assert decision.waiting_for is not None
    assert decision.waiting_for.startswith("Ineffective: NetworkNamespaceLeaked is still there")


@pytest.mark.parametrize("doubt", ["silent", "no report"])
def test_the_cordon_of_what_was_in_vain_stays_while_nobody_knows_better(
    build: Any, doubt: str
) -> None:
    doubts: dict[str, dict[str, Any]] = {
        "silent": {"report": replace(build.report(), silent=True)},
        "no report": {"report": None},
    }

    decision = decided(build, ended(build, ladder_in_vain(build), **doubts[doubt]))

    assert decision.steps == ()


def test_the_cordon_of_what_was_in_vain_goes_with_the_policy_that_asked_for_it(
    build: Any,
) -> None:
    unwanted = ended(build, ladder_in_vain(build), policy=None)

    decision = decided(build, unwanted)

    (change,) = (step.action.body for step in decision.steps if isinstance(step, ChangeNode))
    assert change["spec"] == {"unschedulable": None}


def test_the_cordon_of_what_was_in_vain_goes_when_the_node_gets_well(build: Any) -> None:
    well = ended(build, ladder_in_vain(build), report=build.report())

    decision = decided(build, well)

    (change,) = (step.action.body for step in decision.steps if isinstance(step, ChangeNode))
    assert change["spec"] == {"unschedulable": None}


def unmarked(build: Any, **changes: Any) -> Situation:
    """A node that bears no mark and was treated in vain."""
    plan: Plan = ({"reclaim": {"verifyWithin": "5m"}},)
    done = rung("reclaim", "Done", finished_at=build.now - timedelta(minutes=6))
    node = build.node(boot_id="boot-1")
    situation = case(build, done, plan=plan, node=node)
    return ended(build, situation, **changes)


def test_what_was_done_in_vain_is_not_begun_again_as_it_was(build: Any) -> None:
    decision = decided(build, unmarked(build, now=build.now + timedelta(days=1)))

    assert decision.steps == ()
    assert decision.waiting_for is not None
    assert decision.waiting_for.startswith("TriedInVain: NodeRemediation worker-1-abc did the same")


@pytest.mark.parametrize("news", ["newer", "of another kind", "another plan", "record deleted"])
def test_it_is_tried_again_when_anything_that_counts_is_different(build: Any, news: str) -> None:
    later = build.now + timedelta(hours=1)
    match = build.rule().match.model_copy(
        update={"reasons": ("NetworkNamespaceLeaked", "ResidualPodLink")}
    )
    plan: Plan = ({"reclaim": {"verifyWithin": "5m"}},)
    other = build.finding(reason="ResidualPodLink")
    changes: dict[str, dict[str, Any]] = {
        "newer": {"report": build.report(build.finding(since=later), boot_id="boot-1")},
        "of another kind": {
            "report": build.report(build.finding(), other, boot_id="boot-1"),
            "policy": build.policy(build.rule(match=match, actions=plan)),
        },
        "another plan": {"policy": build.policy(build.rule(actions=({"cordon": {}},)))},
        "record deleted": {},
    }
    situation = unmarked(build, now=later, **changes[news])
    if news == "record deleted":
        situation = replace(situation, recent=())

    decision = decided(build, situation)

    assert isinstance(decision.steps[0], OpenRemediation)


def test_a_ladder_without_anything_that_heals_waits_for_the_findings_to_go(build: Any) -> None:
    plan: Plan = ({"cordon": {}},)

    decision = decided(build, case(build, rung("cordon", "Done"), plan=plan))

    assert decision.waiting_for is not None
    assert decision.waiting_for.startswith("FindingsRemain: the node stays as it is until")


def asking(build: Any, **changes: Any) -> Situation:
    """A treatment whose agent has been asked and has not answered."""
    running = rung("reclaim", "Running", started_at=build.now, requests=("r-1",))
    rungs = (rung("cordon", "Done"), rung("fixConfig", "Skipped"), running)
    return case(build, *rungs, asked=request(build), **changes)


def test_a_pause_holds_a_running_rung_and_says_who_asked(build: Any) -> None:
    paused = build.policy(build.rule(actions=PLAN), pause_requests=("ann: upgrade",))

    decision = decided(build, asking(build, policy=paused))

    assert states(decision) == ["Done", "Skipped", "Running"]
    assert written(decision).waiting_for == "Paused: policy workers is paused by: ann: upgrade"
    assert not any(isinstance(step, ChangeNode | Do) for step in decision.steps)


@pytest.mark.parametrize("edit", ["deleted", "without the rule", "observing"])
def test_a_policy_that_wants_it_no_longer_gives_the_node_back_from_a_running_rung(
    build: Any, edit: str
) -> None:
    edited = {
        "deleted": None,
        "without the rule": build.policy(build.rule("other")),
        "observing": build.policy(build.rule(actions=PLAN), mode=Mode.OBSERVE),
    }

    decision = decided(build, asking(build, policy=edited[edit]))

    (change,) = (step.action.body for step in decision.steps if isinstance(step, ChangeNode))
    assert change["spec"] == {"unschedulable": None}
    assert written(decision).message.startswith("PolicyChanged")


@pytest.mark.parametrize("word", [Said.REJECTED, Said.CANCELLED])
def test_a_persons_no_ends_a_running_rung(build: Any, word: Said) -> None:
    decision = decided(build, asking(build, decision=word))

    (change,) = (step.action.body for step in decision.steps if isinstance(step, ChangeNode))
    assert change["spec"] == {"unschedulable": None}
    assert not any(isinstance(step, Do) for step in decision.steps)


def test_other_actions_in_the_policy_do_not_change_a_plan_under_way(build: Any) -> None:
    edited = build.policy(build.rule(actions=({"cordon": {}},)))

    decision = decided(build, asking(build, policy=edited))

    assert decision.waiting_for is not None
    assert decision.waiting_for.startswith("AgentAsked")


def test_an_action_that_is_not_known_here_is_waited_for(build: Any) -> None:
    plan: Plan = ({"cordon": {}}, {"exorcise": {}})
    situation = case(build, rung("cordon", "Done"), rung("exorcise", "Pending"), plan=plan)

    decision = decided(build, situation)

    assert decision.waiting_for is not None
    assert decision.waiting_for.startswith("UnknownAction: this operator knows no action exorcise")


def test_parameters_that_are_refused_are_said(build: Any) -> None:
    plan: Plan = ({"cordon": {}}, {"reclaim": {"verifyWithin": "soon"}})
    situation = case(build, rung("cordon", "Done"), rung("reclaim", "Pending"), plan=plan)

    decision = decided(build, situation)

    assert decision.waiting_for is not None
    assert decision.waiting_for.startswith("UnknownAction: the parameters of reclaim are refused")


def stopped_before_the_cordon(build: Any, minutes: int) -> Situation:
    """The room was taken, the Node was not changed, and by now there is no room."""
    begun = build.now - timedelta(minutes=minutes)
    plan: Plan = ({"cordon": {}},)
    treatment = build.treatment(
        Phase.RUNNING,
        plan=plan,
        started_at=begun,
        rungs=(rung("cordon", "Pending", started_at=begun),),
    )
    others = replace(build.situation().others, unavailable=2)
    found: Situation = build.situation(treatment=treatment, others=others)
    return found


def test_who_was_stopped_before_doing_anything_gives_the_room_back(build: Any) -> None:
    decision = decided(build, stopped_before_the_cordon(build, 2))

    assert written(decision).phase is Phase.WAITING
    assert written(decision).started_at is None
    assert written(decision).rungs == (rung("cordon", "Pending"),)


def test_the_room_is_kept_while_the_change_may_still_be_on_its_way(build: Any) -> None:
    decision = decided(build, stopped_before_the_cordon(build, 1))

    assert written(decision).phase is Phase.RUNNING
    assert written(decision).waiting_for is not None


def test_two_incidents_within_one_second_do_not_lead_to_the_same_name_again(build: Any) -> None:
    at_first = decided(build, build.situation()).steps[0]
    assert isinstance(at_first, OpenRemediation)
    one = build.treatment(Phase.CANCELLED, name=at_first.name)
    at_second = decided(build, build.situation(recent=(one,))).steps[0]
    assert isinstance(at_second, OpenRemediation)
    two = build.treatment(Phase.CANCELLED, name=at_second.name)

    names = []
    for recent in ((one, two), (two, one)):
        step = decided(build, build.situation(recent=recent)).steps[0]
        assert isinstance(step, OpenRemediation)
        names.append(step.name)

    assert len({*names, one.name, two.name}) == 3


def test_a_rung_that_helped_before_it_was_over_is_done_and_says_what_the_agent_said(
    build: Any,
) -> None:
    answer = RequestStatus(id="r-1", state=RequestState.SUCCEEDED, message="unloaded")
    well = asking(build, findings=(), phase=Phase.VERIFYING, answer=answer)
    assert well.treatment is not None
    since = build.now - timedelta(minutes=11)
    status = well.treatment.status.model_copy(update={"healthy_since": since})
    well = replace(well, treatment=replace(well.treatment, status=status))

    intended = decided(build, well)
    assert well.treatment is not None
    given_back = replace(
        well,
        node=build.node(boot_id="boot-1"),
        treatment=replace(well.treatment, status=written(intended)),
    )
    closed = decided(build, given_back)

    assert written(closed).phase is Phase.SUCCEEDED
    assert states(closed) == ["Reverted", "Skipped", "Done"]
    assert written(closed).rungs[2].message == "Succeeded: unloaded"


@pytest.mark.parametrize("well", [True, False])
def test_a_node_that_is_well_does_not_wait_for_the_next_window_to_be_asked_again(
    build: Any, *, well: bool
) -> None:
    """Its agent was too late for the first window, and its findings have gone since."""
    plan: Plan = ({"cordon": {}}, {"reboot": {"kured": ""}})
    window = MaintenanceWindow(schedule="0 2 * * *", duration=timedelta(hours=1))
    asked = f"{NAME}-1-0-reboot"
    late = RequestStatus(
        id=asked, state=RequestState.REFUSED, message="too late", finished_at=build.now
    )
    rungs = (
        RungState(action="cordon", state="Done"),
        RungState(
            action="reboot",
            state="Running",
            requests=(asked,),
            started_at=build.now - timedelta(hours=9),
            stepped_at=build.now - timedelta(hours=9),
        ),
    )
    situation = build.situation(
        node=build.node(unschedulable=True, cordon_owner=NAME, boot_id="one"),
        report=build.report(*(() if well else (build.finding(),)), boot_id="one", request=late),
        policy=build.policy(build.rule(actions=plan), maintenance_windows=(window,)),
        treatment=build.treatment(Phase.RUNNING, plan=plan, boot_id="one", rungs=rungs),
    )

    decision = decide(situation, build.remediations)

    (written,) = (step.status for step in decision.steps if isinstance(step, SetStatus))
    assert written.phase is (Phase.VERIFYING if well else Phase.RUNNING)
    assert written.waiting_for is not None
    assert written.waiting_for.startswith("HealthyDelay" if well else "MaintenanceWindow")
