"""A person's no outlives the NodeRemediation it was said to: it is noted on the Node."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kernelhealth_api.remediation import CORDONED_BY
from kernelhealth_api.v1alpha1.noderemediation import Decision as Said
from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.decision import Announce, ChangeNode, OpenRemediation, SetStatus
from kernelhealth_operator.policy.reprieve import LET_BE, not_let_be, reprieve_of

NAME, HOUR = "worker-1-abc", timedelta(hours=1)


def noted(build: Any, ago: timedelta, name: str = NAME) -> dict[str, str]:
    return {LET_BE: f"{name} {build.now - ago:%Y-%m-%dT%H:%M:%SZ}"}


def test_that_an_open_treatment_was_deleted_is_noted_before_anything_else(build: Any) -> None:
    situation = build.situation(deleted=NAME)

    decision = decide(situation, build.remediations)

    change, told = decision.steps
    assert isinstance(change, ChangeNode)
    assert change.action.body["metadata"]["annotations"] == noted(build, timedelta(0))
    assert change.action.resource_version == situation.node.resource_version
    assert isinstance(told, Announce)
    assert (told.reason, NAME in told.message) == ("RemediationCancelled", True)


def test_what_the_deleted_treatment_left_on_the_node_is_undone_after_that(build: Any) -> None:
    marks = {CORDONED_BY: NAME, **noted(build, timedelta(0))}
    node = build.node(unschedulable=True, cordon_owner=NAME, annotations=marks)
    situation = build.situation(node=node, deleted=NAME, owner_missing=True)

    decision = decide(situation, build.remediations)

    (change,) = (step for step in decision.steps if isinstance(step, ChangeNode))
    assert change.action.body["spec"] == {"unschedulable": None}
    assert LET_BE not in change.action.body["metadata"]["annotations"]


def test_a_node_that_is_let_be_gets_no_treatment_until_a_known_moment(build: Any) -> None:
    node = build.node(annotations=noted(build, timedelta(minutes=59)))

    decision = decide(build.situation(node=node), build.remediations)

    assert decision.steps == ()
    assert decision.due == build.now + timedelta(minutes=1)
    assert decision.waiting_for is not None
    assert decision.waiting_for.startswith(f"CoolingDown: a person ended NodeRemediation {NAME}")


def test_when_its_time_is_over_the_note_goes_and_then_a_treatment_opens(build: Any) -> None:
    node = build.node(annotations=noted(build, HOUR))

    first = decide(build.situation(node=node), build.remediations)
    then = decide(build.situation(), build.remediations)

    (change,) = first.steps
    assert isinstance(change, ChangeNode)
    assert change.action.body["metadata"]["annotations"] == {LET_BE: None}
    assert isinstance(then.steps[0], OpenRemediation)


def test_the_note_goes_from_a_node_that_got_well_too(build: Any) -> None:
    well = {"report": build.report()}
    young = build.node(annotations=noted(build, timedelta(minutes=30)))
    old = build.node(annotations=noted(build, HOUR))

    waits = decide(build.situation(node=young, **well), build.remediations)
    goes = decide(build.situation(node=old, **well), build.remediations)

    assert (waits.steps, waits.due) == ((), build.now + timedelta(minutes=30))
    assert len(goes.steps) == 1


def test_a_treatment_that_comes_up_again_on_a_node_that_is_let_be_ends(build: Any) -> None:
    node = build.node(annotations=noted(build, timedelta(minutes=1)))

    decision = decide(build.situation(node=node, treatment=build.treatment()), build.remediations)

    (written,) = (step for step in decision.steps if isinstance(step, SetStatus))
    assert written.status.phase is Phase.CANCELLED
    assert written.status.message.startswith("CoolingDown: ")


def test_one_that_a_person_approved_goes_on_all_the_same(build: Any) -> None:
    node = build.node(annotations=noted(build, timedelta(minutes=1)))
    treatment = build.treatment(decision=Said.APPROVED)

    decision = decide(build.situation(node=node, treatment=treatment), build.remediations)

    (written,) = (step for step in decision.steps if isinstance(step, SetStatus))
    assert written.status.phase is Phase.RUNNING


def test_the_name_that_is_given_again_is_noted_again(build: Any) -> None:
    known = build.node(annotations=noted(build, timedelta(minutes=5)))
    faded = build.node(annotations=noted(build, HOUR))
    other = build.node(annotations=noted(build, timedelta(minutes=5), "worker-1-def"))

    steps = [
        bool(decide(build.situation(node=node, deleted=NAME), build.remediations).steps)
        for node in (known, faded, other)
    ]

    assert steps == [False, True, True]


def test_a_node_that_is_about_to_go_is_not_written_to(build: Any) -> None:
    node = build.node(deleting=True)

    assert decide(build.situation(node=node, deleted=NAME), build.remediations).steps == ()


@pytest.mark.parametrize("text", ["yes", f"{NAME} soon", " "])
def test_a_note_that_cannot_be_dated_holds_until_it_is_removed(build: Any, text: str) -> None:
    node = build.node(annotations={LET_BE: text})

    verdict = not_let_be(build.situation(node=node))

    assert (verdict.ok, verdict.reason, verdict.retry_at) == (False, "CoolingDown", None)
    assert decide(build.situation(node=node), build.remediations).steps == ()


def test_a_moment_without_a_zone_is_in_utc(build: Any) -> None:
    note = reprieve_of(build.node(annotations={LET_BE: f"{NAME} 2026-01-01T11:30:00"}))

    assert note is not None
    assert note.since == build.now - timedelta(minutes=30)


def test_under_no_policy_the_note_lasts_as_long_as_it_would_by_default(build: Any) -> None:
    young = build.node(annotations=noted(build, timedelta(minutes=59)))
    old = build.node(annotations=noted(build, HOUR))

    steps = [
        len(decide(build.situation(node=node, policy=None), build.remediations).steps)
        for node in (young, old)
    ]

    assert steps == [0, 1]
