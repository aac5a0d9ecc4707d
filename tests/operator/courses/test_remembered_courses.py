"""Courses that once broke a promise: what is found by chance is played for good."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kernelhealth_api.remediation import CORDONED_BY
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Mode
from kernelhealth_operator.policy.situation import Policy

from .chronicle import Chronicle
from .hosts import LEAK
from .plans import CORDON, PLANS, RECLAIM, START, spec
from .server import OPERATOR
from .test_any_course_of_events import Course

NODE = "worker-1"


def course(plan: int, *sick: str, rounds: int) -> Course:
    """A course whose agents and operator have been at work for so many rounds, of a minute each."""
    begun = Course(Chronicle())
    begun.begins(plan=plan, sick=set(sick), stubborn=False, far=rounds, lasts=False, grudges=False)
    return begun


def send_late(begun: Course, *, left: int) -> None:
    """The leader is stopped at one of its writes, which is on its way from then on."""
    begun.world.trouble(left, "late", lambda: None)
    begun.world.hear(NODE)
    begun.world.operate(NODE)
    assert len(begun.world.late) == 1


def phases(begun: Course) -> list[str]:
    return [one.status.phase.value for one in begun.world.treatments(NODE)]


def states(begun: Course) -> list[str]:
    return [rung.state for one in begun.world.treatments(NODE) for rung in one.status.rungs]


def test_a_node_given_back_by_a_leader_that_is_gone_was_not_taken_back_by_a_person() -> None:
    begun = course(PLANS.index((CORDON,)), NODE, rounds=5)
    begun.gets_well(NODE)
    begun.everything_is_looked_at()
    begun.time_passes(11)
    send_late(begun, left=1)

    begun.fall_ill((NODE, LEAK))
    begun.everything_is_looked_at()
    begun.a_late_write_arrives()
    begun.everything_is_looked_at()

    assert phases(begun) == ["Cancelled"]
    assert states(begun) == ["Reverted"]
    # Nobody said no: the node is treated again as soon as its rule allows.
    begun.time_passes(1)
    begun.everything_is_looked_at()
    assert sorted(phases(begun)) == ["Cancelled", "Waiting"]
    begun.teardown()


def test_the_same_where_the_policy_took_its_no_back_and_the_findings_are_gone() -> None:
    plan = PLANS.index((CORDON,))
    begun = course(plan, NODE, rounds=5)
    begun.world.rule(Policy("all", START, 1, spec(plan, rules=spec(plan).rules[1:])))
    begun.world.hear(NODE)
    send_late(begun, left=1)

    begun.person_changes_the_policy_otherwise("restore")
    begun.gets_well(NODE)
    begun.everything_is_looked_at()
    begun.a_late_write_arrives()
    begun.everything_is_looked_at()

    assert phases(begun) == ["Cancelled"]
    assert states(begun) == ["Reverted"]
    begun.teardown()


def test_a_person_who_uncordons_before_it_is_written_that_the_node_was_cordoned_is_heard() -> None:
    begun = course(PLANS.index((CORDON,)), NODE, rounds=0)
    begun.person_cordons(NODE)
    begun.everything_is_looked_at()
    begun.time_passes(1)
    begun.everything_is_looked_at()
    send_late(begun, left=1)

    begun.person_uncordons(NODE)
    begun.a_late_write_arrives()
    begun.everything_is_looked_at()

    assert states(begun) == ["Overruled"]
    begun.teardown()


def test_who_undoes_and_puts_back_a_cordon_of_their_own_unseen_has_said_nothing() -> None:
    plan = PLANS.index((CORDON,))
    begun = course(plan, NODE, rounds=2)
    begun.person_cordons(NODE)
    begun.everything_is_looked_at()
    assert states(begun) == ["Done"]
    begun.person_uncordons(NODE)
    begun.person_cordons(NODE)

    begun.person_edits_the_policy(Mode.OBSERVE, 2, 0, None)
    begun.everything_is_looked_at()
    begun.person_changes_the_policy_otherwise("restore")
    begun.everything_is_looked_at()

    assert sorted(phases(begun)) == ["Cancelled", "Waiting"]
    begun.teardown()


def test_who_undoes_and_puts_back_ours_unseen_has_said_no() -> None:
    begun = course(PLANS.index((CORDON,)), NODE, rounds=5)
    begun.person_uncordons(NODE)
    begun.person_cordons(NODE)

    begun.person_edits_the_policy(Mode.OBSERVE, 2, 0, None)
    begun.everything_is_looked_at()
    begun.person_changes_the_policy_otherwise("restore")
    begun.everything_is_looked_at()

    assert states(begun) == ["Overruled"]
    assert begun.world.promises.memory.refused_at == {NODE: begun.world.now}
    begun.teardown()


def test_a_cordon_that_a_person_put_in_place_of_ours_is_not_one_of_ours() -> None:
    plan = next(i for i, one in enumerate(PLANS) if one[-1] == {"reboot": {"when": "Now"}})
    begun = course(plan, "control-1", "control-2", NODE, rounds=10)
    begun.the_window_is_open(minutes=5)
    begun.person_uncordons(NODE)
    begun.another_operator_leads()
    begun.person_cordons(NODE)

    begun.everything_is_looked_at()

    assert phases(begun) == ["Ineffective"]
    assert [one.status.phase.value for one in begun.world.treatments("control-2")] == ["Running"]
    begun.teardown()


def test_our_own_marks_count_whether_or_not_anybody_has_heard_of_them() -> None:
    begun = course(PLANS.index((RECLAIM,)), NODE, rounds=1)
    begun.world.server.now += timedelta(minutes=1)
    begun.world.look_at_everything()
    assert phases(begun) == ["Waiting"]
    server = begun.world.server
    for name in ("control-1", "worker-2"):
        annotations = {"metadata": {"annotations": {CORDONED_BY: "somebody"}}}
        change = {**annotations, "spec": {"unschedulable": True}}
        server.edit(server.nodes, name, change, OPERATOR)

    with pytest.raises(AssertionError, match="too many nodes are marked"):
        begun.world.operate(NODE)


def created_late() -> Course:
    """A leader that is gone asked for a treatment, which the next one has made meanwhile."""
    begun = course(PLANS.index((CORDON,)), NODE, rounds=1)
    send_late(begun, left=0)
    assert [write.method for write in begun.world.late] == ["POST"]
    begun.everybody_works_for_a_while(1)
    return begun


def test_what_a_person_deleted_and_somebody_late_makes_again_ends_as_cancelled() -> None:
    begun = created_late()

    begun.person_deletes_the_treatment_and_the_operator_looks(NODE)
    begun.a_late_write_arrives()
    begun.everything_is_looked_at()
    begun.everything_is_looked_at()

    assert phases(begun) == ["Cancelled"]
    assert "unschedulable" not in begun.world.server.nodes[NODE]["spec"]


def test_nobody_can_tell_that_it_was_deleted_if_it_is_there_again_before_anybody_looked() -> None:
    begun = created_late()

    begun.person_deletes_the_treatment(NODE)
    begun.a_late_write_arrives()
    begun.everything_is_looked_at()
    begun.everything_is_looked_at()

    assert phases(begun) == ["Running"]
    assert NODE not in begun.world.promises.memory.refused_at


def test_a_no_is_heard_to_a_treatment_that_is_called_as_one_that_had_ended() -> None:
    begun = Course(Chronicle())
    begun.begins(plan=1, sick={"control-1"}, stubborn=True, far=10, lasts=True, grudges=False)
    begun.the_window_is_open(5)

    begun.person_deletes_what_has_ended("control-1")
    begun.agents_die_at_work("before")
    begun.person_deletes_the_treatment_and_the_operator_looks("control-1")

    assert "control-1" in begun.world.promises.memory.refused_at
    begun.teardown()
