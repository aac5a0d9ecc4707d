"""The life of a NodeRemediation, one decision at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kernelhealth_api.remediation import CORDONED_BY
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Mode
from kernelhealth_api.v1alpha1.noderemediation import Decision as Said
from kernelhealth_api.v1alpha1.noderemediation import NodeRemediationStatus, Phase
from kernelhealth_operator.policy.decide import abandon, decide
from kernelhealth_operator.policy.decision import (
    Announce,
    ChangeNode,
    Decision,
    OpenRemediation,
    SetStatus,
)
from kernelhealth_operator.policy.reprieve import LET_BE

NAME = "worker-1-abc"


def kinds(decision: Decision) -> list[str]:
    return [type(step).__name__ for step in decision.steps]


def written(decision: Decision) -> NodeRemediationStatus:
    (status,) = (step.status for step in decision.steps if isinstance(step, SetStatus))
    return status


def patched(decision: Decision) -> dict[str, Any]:
    (change,) = (step.action for step in decision.steps if isinstance(step, ChangeNode))
    return dict(change.body)


def told(decision: Decision) -> tuple[str, str]:
    (event,) = (step for step in decision.steps if isinstance(step, Announce))
    return event.reason, event.message


def ours(build: Any, **changes: Any) -> Any:
    return build.node(unschedulable=True, cordon_owner=NAME, **changes)


def test_a_healthy_node_is_left_alone(build: Any) -> None:
    decision = decide(build.situation(report=build.report()), build.remediations)

    assert (decision.steps, decision.waiting_for) == ((), None)
    assert decision.verdicts[-1].reason == "NoFinding"


def test_a_sick_node_under_no_policy_is_left_alone(build: Any) -> None:
    decision = decide(build.situation(policy=None), build.remediations)

    assert (decision.steps, decision.waiting_for) == ((), None)


def test_a_sick_node_that_is_only_observed_waits_for_nothing(build: Any) -> None:
    policy = build.policy(mode=Mode.OBSERVE)

    decision = decide(build.situation(policy=policy), build.remediations)

    assert (decision.steps, decision.waiting_for) == ((), None)


def test_in_mode_auto_a_treatment_opens_that_waits_for_nothing(build: Any) -> None:
    decision = decide(build.situation(), build.remediations)

    step, _ = decision.steps
    assert isinstance(step, OpenRemediation)
    assert told(decision) == (
        "RemediationOpened",
        f"NetworkNamespaceLeaked: NodeRemediation {step.name} begins, nothing is against it",
    )
    assert (step.spec.policy, step.spec.rule, step.spec.node_uid) == ("workers", "leaks", "uid-1")
    assert step.spec.plan == ({"cordon": {}},)
    assert step.status.phase is Phase.WAITING
    assert step.status.waiting_for is None
    assert [finding.reason for finding in step.status.evidence] == ["NetworkNamespaceLeaked"]


def test_in_mode_propose_a_treatment_opens_that_waits_for_a_person(build: Any) -> None:
    decision = decide(build.situation(policy=build.policy(mode=Mode.PROPOSE)), build.remediations)

    opened = decision.steps[0]
    assert isinstance(opened, OpenRemediation)
    assert opened.status.phase is Phase.PROPOSED
    assert decision.waiting_for == (
        f"Approval: a person must set spec.decision of NodeRemediation {opened.name} to Approved"
    )
    assert opened.status.waiting_for == decision.waiting_for
    assert told(decision)[0] == "RemediationProposed"


def test_opening_twice_asks_for_the_same_name_and_later_incidents_for_others(build: Any) -> None:
    first = build.situation()
    ended = build.treatment(Phase.SUCCEEDED, "Reverted")
    namesake = build.treatment(Phase.CANCELLED, node_uid="uid-0", name="worker-1-old")
    again = build.situation(recent=(namesake,))
    later = build.situation(recent=(ended,))

    names = [
        decide(situation, build.remediations).steps[0].name  # type: ignore[union-attr]
        for situation in (first, again, later)
    ]

    assert names[0] == names[1]
    assert names[0] != names[2]
    assert all(name.startswith("worker-1-") for name in names)


def test_the_name_of_a_treatment_of_a_node_with_a_long_name_is_still_a_name(build: Any) -> None:
    node = build.node(name=f"{'a' * 199}.{'b' * 53}")

    opened = decide(build.situation(node=node), build.remediations).steps[0]

    assert isinstance(opened, OpenRemediation)
    assert len(opened.name) <= 253
    assert "." not in opened.name


def test_before_its_time_a_finding_is_waited_for_until_a_known_moment(build: Any) -> None:
    policy = build.policy(build.rule(for_=timedelta(minutes=5)))
    situation = build.situation(policy=policy, matched_since={"leaks": build.now})

    decision = decide(situation, build.remediations)

    assert decision.steps == ()
    assert decision.due == build.now + timedelta(minutes=5)
    assert decision.waiting_for is not None
    assert decision.waiting_for.startswith("NotLongEnough: ")


def test_a_status_that_was_never_written_is_written(build: Any) -> None:
    bare = replace(build.treatment(), status=NodeRemediationStatus())

    decision = decide(build.situation(treatment=bare), build.remediations)

    assert kinds(decision) == ["SetStatus"]
    assert written(decision).phase is Phase.WAITING
    assert [rung.action for rung in written(decision).rungs] == ["cordon"]


def test_when_nothing_is_against_it_the_node_is_cordoned_after_that_is_written(build: Any) -> None:
    decision = decide(build.situation(treatment=build.treatment()), build.remediations)

    assert kinds(decision) == ["SetStatus", "ChangeNode", "Announce"]
    assert written(decision).phase is Phase.RUNNING
    assert written(decision).started_at == build.now
    assert not written(decision).was_unschedulable
    assert patched(decision)["spec"] == {"unschedulable": True}
    assert patched(decision)["metadata"]["annotations"] == {CORDONED_BY: NAME}
    assert told(decision) == (
        "NodeCordoned",
        (
            "NetworkNamespaceLeaked: rule leaks of policy workers asks for it, "
            "NodeRemediation worker-1-abc follows it up"
        ),
    )


def test_a_cordon_that_was_written_but_not_made_is_made(build: Any) -> None:
    begun = decide(build.situation(treatment=build.treatment()), build.remediations)
    treatment = replace(build.treatment(), status=written(begun))

    decision = decide(build.situation(treatment=treatment), build.remediations)

    assert kinds(decision) == ["SetStatus", "ChangeNode", "Announce"]
    assert written(decision) == treatment.status


def test_a_cordon_that_was_made_is_recorded(build: Any) -> None:
    situation = build.situation(node=ours(build), treatment=build.treatment(Phase.RUNNING))

    decision = decide(situation, build.remediations)

    assert kinds(decision) == ["ChangeNode", "SetStatus"]
    assert "spec" not in patched(decision)
    assert patched(decision)["metadata"]["annotations"] == {CORDONED_BY: NAME}
    assert written(decision).rungs[0].state == "Done"


def test_a_node_that_somebody_else_cordoned_is_taken_as_it_is(build: Any) -> None:
    situation = build.situation(node=build.node(unschedulable=True), treatment=build.treatment())

    decision = decide(situation, build.remediations)

    assert kinds(decision) == ["ChangeNode", "SetStatus"]
    assert "spec" not in patched(decision)
    assert patched(decision)["metadata"]["annotations"] == {CORDONED_BY: None}
    assert written(decision).was_unschedulable
    assert written(decision).rungs[0].state == "Done"


def test_somebody_elses_cordon_outlives_the_treatment(build: Any) -> None:
    treatment = build.treatment(
        Phase.VERIFYING,
        "Done",
        was_unschedulable=True,
        healthy_since=build.now - timedelta(minutes=10),
    )
    situation = build.situation(
        node=build.node(unschedulable=True), treatment=treatment, report=build.report()
    )

    decision = decide(situation, build.remediations)

    assert kinds(decision) == ["ChangeNode", "SetStatus", "Announce"]
    assert "spec" not in patched(decision)
    assert written(decision).phase is Phase.SUCCEEDED


def test_a_cordoned_node_that_stays_sick_needs_no_more_writes(build: Any) -> None:
    waiting = "FindingsRemain: the node stays as it is until NetworkNamespaceLeaked is gone"
    treatment = build.treatment(Phase.RUNNING, "Done", waiting_for=waiting)

    decision = decide(build.situation(node=ours(build), treatment=treatment), build.remediations)

    assert (decision.steps, decision.waiting_for) == ((), waiting)


def test_when_the_findings_are_gone_recovery_is_counted(build: Any) -> None:
    situation = build.situation(
        node=ours(build), treatment=build.treatment(Phase.RUNNING, "Done"), report=build.report()
    )

    decision = decide(situation, build.remediations)

    assert kinds(decision) == ["SetStatus", "Announce"]
    assert told(decision) == ("RemediationVerifying", written(decision).waiting_for)
    assert written(decision).phase is Phase.VERIFYING
    assert written(decision).healthy_since == build.now
    assert decision.due == build.now + timedelta(minutes=10)
    assert decision.waiting_for == (
        "HealthyDelay: the findings are gone; if they stay away it ends at 2026-01-01 12:10:00Z"
    )


def test_when_the_findings_return_recovery_is_counted_anew(build: Any) -> None:
    treatment = build.treatment(Phase.VERIFYING, "Done", healthy_since=build.now)

    decision = decide(build.situation(node=ours(build), treatment=treatment), build.remediations)

    assert kinds(decision) == ["SetStatus", "Announce"]
    assert told(decision)[1].startswith(f"{written(decision).message}: ")
    assert written(decision).phase is Phase.RUNNING
    assert written(decision).healthy_since is None


def test_a_finding_that_needs_approval_elsewhere_keeps_the_node_too(build: Any) -> None:
    pins = build.rule("pins", match={"reasons": ("Pinned",)}, mode=Mode.PROPOSE)
    treatment = build.treatment(Phase.VERIFYING, "Done", healthy_since=build.now)
    situation = build.situation(
        node=ours(build),
        treatment=treatment,
        policy=build.policy(build.rule(), pins),
        report=build.report(build.finding(reason="Pinned")),
    )

    decision = decide(situation, build.remediations)

    assert written(decision).phase is Phase.RUNNING


def test_another_rules_finding_does_not_start_a_treatment_that_was_not_meant_for_it(
    build: Any,
) -> None:
    pins = build.rule("pins", match={"reasons": ("Pinned",)}, mode=Mode.PROPOSE)
    situation = build.situation(
        treatment=build.treatment(),
        policy=build.policy(build.rule(), pins),
        report=build.report(build.finding(reason="Pinned")),
    )

    decision = decide(situation, build.remediations)

    assert written(decision).phase is Phase.CANCELLED
    assert told(decision)[1].startswith("ClearedByItself: ")


def test_after_the_healthy_delay_the_intention_is_written_then_the_node_is_given_back(
    build: Any,
) -> None:
    since = build.now - timedelta(minutes=10)
    treatment = build.treatment(Phase.VERIFYING, "Done", healthy_since=since)
    situation = build.situation(node=ours(build), treatment=treatment, report=build.report())

    decision = decide(situation, build.remediations)

    assert kinds(decision) == ["SetStatus", "ChangeNode", "Announce"]
    assert written(decision).rungs[0].state == "Reverting"
    assert written(decision).healthy_since == since
    assert patched(decision)["spec"] == {"unschedulable": None}
    assert patched(decision)["metadata"]["annotations"] == {CORDONED_BY: None}
    assert told(decision)[0] == "NodeUncordoned"


def test_a_node_that_was_given_back_by_us_is_not_taken_for_one_that_a_person_took(
    build: Any,
) -> None:
    treatment = build.treatment(Phase.VERIFYING, "Reverting", healthy_since=build.now)
    situation = build.situation(treatment=treatment, report=build.report())

    decision = decide(situation, build.remediations)

    assert written(decision).phase is Phase.SUCCEEDED
    assert written(decision).rungs[0].state == "Reverted"
    assert written(decision).finished_at == build.now


def test_giving_back_is_called_off_when_the_findings_return_in_time(build: Any) -> None:
    treatment = build.treatment(Phase.VERIFYING, "Reverting", healthy_since=build.now)

    decision = decide(build.situation(node=ours(build), treatment=treatment), build.remediations)

    assert kinds(decision) == ["ChangeNode", "SetStatus", "Announce"]
    assert "spec" not in patched(decision)
    assert written(decision).rungs[0].state == "Done"
    assert written(decision).phase is Phase.RUNNING


@pytest.mark.parametrize("owner", [NAME, None], ids=["mark left", "mark removed"])
def test_a_persons_uncordon_ends_the_treatment(build: Any, owner: str | None) -> None:
    situation = build.situation(
        node=build.node(cordon_owner=owner), treatment=build.treatment(Phase.RUNNING, "Done")
    )

    decision = decide(situation, build.remediations)

    assert kinds(decision) == ["ChangeNode", "SetStatus", "Announce"]
    assert "spec" not in patched(decision)
    assert patched(decision)["metadata"]["annotations"].get(CORDONED_BY) is None
    assert patched(decision)["metadata"]["annotations"][LET_BE].startswith(f"{NAME} ")
    assert written(decision).phase is Phase.CANCELLED
    assert written(decision).rungs[0].state == "Overruled"
    assert written(decision).finished_at == build.now


def test_a_persons_uncordon_counts_even_while_the_policy_is_paused(build: Any) -> None:
    situation = build.situation(
        node=build.node(cordon_owner=NAME),
        treatment=build.treatment(Phase.RUNNING, "Done"),
        policy=build.policy(pause_requests=("ann: upgrade",)),
    )

    decision = decide(situation, build.remediations)

    assert written(decision).phase is Phase.CANCELLED


def test_a_person_who_is_faster_than_our_giving_back_is_heard(build: Any) -> None:
    treatment = build.treatment(Phase.VERIFYING, "Reverting", healthy_since=build.now)
    situation = build.situation(
        node=build.node(cordon_owner=NAME), treatment=treatment, report=build.report()
    )

    first = decide(situation, build.remediations)
    second = decide(
        replace(situation, treatment=replace(treatment, status=written(first))),
        build.remediations,
    )

    assert written(first).rungs[0].state == "Done"
    assert written(second).rungs[0].state == "Overruled"


@pytest.mark.parametrize("said", [Said.REJECTED, Said.CANCELLED])
def test_a_persons_no_before_anything_was_done_ends_it(build: Any, said: Said) -> None:
    treatment = build.treatment(Phase.PROPOSED, decision=said)

    decision = decide(build.situation(treatment=treatment), build.remediations)

    assert kinds(decision) == ["ChangeNode", "SetStatus", "Announce"]
    assert patched(decision)["metadata"]["annotations"] == {
        LET_BE: f"{NAME} {build.now:%Y-%m-%dT%H:%M:%SZ}"
    }
    assert written(decision).phase is Phase.CANCELLED
    assert written(decision).message == (
        f"{said}: a person set spec.decision of NodeRemediation {NAME} to {said}"
    )


def test_a_persons_no_gives_back_what_is_ours_even_while_the_agent_is_silent(build: Any) -> None:
    situation = build.situation(
        node=ours(build),
        treatment=build.treatment(Phase.RUNNING, "Done", decision=Said.CANCELLED),
        report=build.report(silent=True),
    )

    decision = decide(situation, build.remediations)

    assert patched(decision)["spec"] == {"unschedulable": None}
    assert written(decision).rungs[0].state == "Reverting"


def withdrawals(build: Any) -> dict[str, tuple[dict[str, Any], str]]:
    gone = "policy workers no longer governs the node"
    return {
        "policy deleted": ({"policy": None}, gone),
        "another policy": ({"policy": build.policy(name="others")}, gone),
        "rule removed": (
            {"policy": build.policy(build.rule("other"))},
            "policy workers no longer has the rule leaks",
        ),
        "observes now": (
            {"policy": build.policy(mode=Mode.OBSERVE)},
            "the mode of rule leaks of policy workers is Observe now",
        ),
        "exempt now": (
            {"node": ours(build, labels={"kernelhealth.io/ignore": "true"})},
            "the Node has the label kernelhealth.io/ignore=true: remove it to have it treated",
        ),
    }


@pytest.mark.parametrize(
    "name", ["policy deleted", "another policy", "rule removed", "observes now", "exempt now"]
)
def test_what_the_policy_no_longer_asks_for_is_undone(build: Any, name: str) -> None:
    changes, message = withdrawals(build)[name]
    treatment = build.treatment(Phase.RUNNING, "Done")
    situation = build.situation(**{"node": ours(build), "treatment": treatment} | changes)

    decision = decide(situation, build.remediations)

    assert kinds(decision) == ["SetStatus", "ChangeNode", "Announce"]
    assert patched(decision)["spec"] == {"unschedulable": None}
    assert told(decision) == ("NodeUncordoned", message)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pause_requests": ("ann: upgrade",)}, "Paused"),
        ({"problems": ("wrong",)}, "PolicyNotReady"),
    ],
    ids=["paused", "mistaken"],
)
def test_a_policy_that_may_not_act_holds_what_would_be_undone(
    build: Any, changes: dict[str, Any], reason: str
) -> None:
    policy = build.policy(build.rule("other"), **changes)
    treatment = build.treatment(Phase.RUNNING, "Done")

    decision = decide(
        build.situation(node=ours(build), treatment=treatment, policy=policy), build.remediations
    )

    assert kinds(decision) == ["SetStatus"]
    assert written(decision).waiting_for == decision.waiting_for
    assert str(decision.waiting_for).startswith(f"{reason}: ")


def test_a_silent_agent_holds_the_node_and_recovery_starts_anew(build: Any) -> None:
    since = build.now - timedelta(hours=1)
    treatment = build.treatment(Phase.VERIFYING, "Done", healthy_since=since)
    situation = build.situation(
        node=ours(build), treatment=treatment, report=build.report(silent=True)
    )

    decision = decide(situation, build.remediations)

    assert kinds(decision) == ["SetStatus"]
    assert written(decision).phase is Phase.RUNNING
    assert written(decision).healthy_since is None
    assert decision.waiting_for == "AgentSilent: the node's agent has gone quiet: look at its pod"


def test_a_pause_holds_recovery_but_does_not_start_it_anew(build: Any) -> None:
    since = build.now - timedelta(hours=1)
    treatment = build.treatment(Phase.VERIFYING, "Done", healthy_since=since)
    situation = build.situation(
        node=ours(build),
        treatment=treatment,
        report=build.report(),
        policy=build.policy(pause_requests=("ann: upgrade",)),
    )

    decision = decide(situation, build.remediations)

    assert written(decision).phase is Phase.VERIFYING
    assert written(decision).healthy_since == since


def test_a_proposal_whose_finding_clears_ends_by_itself(build: Any) -> None:
    situation = build.situation(treatment=build.treatment(Phase.PROPOSED), report=build.report())

    decision = decide(situation, build.remediations)

    assert kinds(decision) == ["SetStatus", "Announce"]
    assert written(decision).message == (
        "ClearedByItself: the findings went away before anything was done"
    )


def test_an_approved_proposal_goes_on(build: Any) -> None:
    situation = build.situation(
        treatment=build.treatment(Phase.PROPOSED, decision=Said.APPROVED),
        policy=build.policy(mode=Mode.PROPOSE),
    )

    decision = decide(situation, build.remediations)

    assert written(decision).phase is Phase.RUNNING


def test_a_treatment_of_a_node_that_was_replaced_ends_without_touching_the_new_one(
    build: Any,
) -> None:
    situation = build.situation(
        node=build.node(uid="uid-2"), treatment=build.treatment(Phase.RUNNING, "Done")
    )

    decision = decide(situation, build.remediations)

    assert kinds(decision) == ["SetStatus"]
    assert written(decision).phase is Phase.CANCELLED
    assert written(decision).message.startswith("NodeReplaced: ")


def test_a_treatment_of_a_node_that_is_gone_is_abandoned_once(build: Any) -> None:
    first = abandon(build.treatment(Phase.RUNNING, "Done"), build.now)
    again = abandon(build.treatment(Phase.CANCELLED), build.now)

    assert written(first).message == "NodeGone: Node worker-1 does not exist any more"
    assert again.steps == ()


def test_the_cordon_of_a_treatment_that_was_deleted_is_undone(build: Any) -> None:
    situation = build.situation(node=ours(build), owner_missing=True, policy=None)

    decision = decide(situation, build.remediations)

    assert kinds(decision) == ["ChangeNode", "Announce"]
    assert patched(decision)["spec"] == {"unschedulable": None}


def test_a_cordon_whose_treatment_is_merely_not_in_sight_is_left(build: Any) -> None:
    decision = decide(build.situation(node=ours(build)), build.remediations)

    assert decision.steps == ()
    assert str(decision.waiting_for).startswith("LeftoverCordon: ")


def test_an_action_that_this_version_does_not_know_waits(build: Any) -> None:
    treatment = build.treatment(plan=({"teleport": {}},))

    decision = decide(build.situation(treatment=treatment), build.remediations)

    assert decision.waiting_for == (
        "UnknownAction: this operator knows no action teleport: does a newer one run beside it?"
    )


def test_an_action_with_parameters_that_this_version_does_not_know_waits(build: Any) -> None:
    treatment = build.treatment(plan=({"cordon": {"gently": True}},))

    decision = decide(build.situation(treatment=treatment), build.remediations)

    assert decision.waiting_for == (
        "UnknownAction: the parameters of cordon are refused: Extra inputs are not permitted"
    )
