"""Nodes that are rebooted for their age."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kernelhealth_api.v1alpha1.finding import Severity
from kernelhealth_api.v1alpha1.kernelhealthpolicy import MaintenanceWindow, Match, Mode
from kernelhealth_api.v1alpha1.noderemediation import Phase, RungState
from kernelhealth_operator.policy import checks, match
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.decision import OpenRemediation, SetStatus
from kernelhealth_operator.policy.situation import Policy, Report, Treatment

DAY = timedelta(days=1)
NIGHTLY = MaintenanceWindow(schedule="0 2 * * *", duration=timedelta(hours=2))


def policy(build: Any, **changes: Any) -> Policy:
    old = build.rule(
        "old",
        match=Match(uptime=30 * DAY),
        actions=({"cordon": {}}, {"reboot": {}}),
        **changes,
    )
    found: Policy = build.policy(build.rule(), old, maintenance_windows=(NIGHTLY,))
    return found


def report(build: Any, days: float | None, *findings: Any) -> Report:
    up = None if days is None else days * DAY
    booted = None if up is None else build.now - up
    found: Report = build.report(*findings, uptime=up, booted=booted)
    return found


def old_age(build: Any, *rungs: str, **given: Any) -> Treatment:
    states = rungs or ("Pending", "Pending")
    names = ("cordon", "reboot")
    entries = tuple(RungState(action=a, state=s) for a, s in zip(names, states, strict=True))
    values = {"rule": "old", "reasons": ("Uptime",), "plan": ({"cordon": {}}, {"reboot": {}})}
    found: Treatment = build.treatment(**(values | {"rungs": entries} | given))
    return found


def test_a_node_that_is_old_enough_gets_a_treatment(build: Any) -> None:
    situation = build.situation(policy=policy(build), report=report(build, 30))

    decision = decide(situation, build.remediations)

    opened = decision.steps[0]
    assert isinstance(opened, OpenRemediation)
    assert opened.spec.reasons == ("Uptime",)
    assert opened.spec.rule == "old"
    assert [one.message for one in opened.status.evidence] == [
        "The node has been up for 720 hours."
    ]


@pytest.mark.parametrize("days", [29.9, None, -1])
def test_a_node_that_is_not_known_to_be_old_gets_none(build: Any, days: float | None) -> None:
    situation = build.situation(policy=policy(build), report=report(build, days))

    decision = decide(situation, build.remediations)

    assert decision.steps == ()
    assert decision.verdicts[-1].reason == "NoFinding"


def test_whatever_is_wrong_comes_before_the_age(build: Any) -> None:
    sick = report(build, 99, build.finding(severity=Severity.WARNING))

    firing = match.fired(policy(build), sick)

    assert firing is not None
    assert firing.rule.name == "leaks"


def test_the_age_keeps_no_node_from_being_given_back(build: Any) -> None:
    assert match.unresolved(policy(build), report(build, 99)) == ()


def test_an_age_that_is_only_observed_belongs_to_no_rule_below(build: Any) -> None:
    every = build.rule("every", match=Match(uptime=DAY), mode=Mode.OBSERVE)
    both = build.policy(every, build.rule("old", match=Match(uptime=DAY)))

    assert match.own(both, both.spec.rules[1], report(build, 99)) == ()


def test_not_even_a_cordon_comes_before_the_window(build: Any) -> None:
    situation = build.situation(
        policy=policy(build), report=report(build, 31), treatment=old_age(build)
    )

    (step,) = decide(situation, build.remediations).steps

    assert isinstance(step, SetStatus)
    assert step.status.waiting_for == (
        "MaintenanceWindow: the next maintenance window opens at 2026-01-02 02:00:00Z"
    )
    assert step.status.waiting_until == build.now.replace(day=2, hour=2)
    assert step.status.phase is Phase.WAITING


def test_in_the_window_it_begins(build: Any) -> None:
    situation = build.situation(
        now=build.now.replace(day=2, hour=2),
        policy=policy(build),
        report=report(build, 31),
        treatment=old_age(build),
    )

    decision = decide(situation, build.remediations)

    assert decision.waiting_for is None
    assert any(type(step).__name__ == "ChangeNode" for step in decision.steps)


def test_a_node_that_falls_ill_meanwhile_is_treated_for_that(build: Any) -> None:
    situation = build.situation(
        policy=policy(build),
        report=report(build, 31, build.finding()),
        treatment=old_age(build),
    )

    decision = decide(situation, build.remediations)

    ended = next(step for step in decision.steps if isinstance(step, SetStatus))
    assert ended.status.phase is Phase.CANCELLED
    assert ended.status.message.startswith("FindingsFirst: rule leaks is to treat")


def test_what_has_begun_is_gone_through_with(build: Any) -> None:
    begun = (
        RungState(action="cordon", state="Done", started_at=build.now),
        RungState(action="reboot", state="Pending"),
    )
    situation = build.situation(
        node=build.node(unschedulable=True, cordon_owner="worker-1-abc"),
        policy=policy(build),
        report=report(build, 31, build.finding()),
        treatment=old_age(build, phase=Phase.RUNNING, rungs=begun),
    )

    assert "FindingsFirst" not in str(decide(situation, build.remediations))


def test_it_is_not_tried_again_and_again(build: Any) -> None:
    ended = old_age(build, phase=Phase.INEFFECTIVE, finished_at=build.now - timedelta(hours=1))
    situation = build.situation(policy=policy(build), report=report(build, 31), recent=(ended,))

    decision = decide(situation, build.remediations)

    assert decision.steps == ()
    assert str(decision.waiting_for).startswith("TriedLately: ")
    assert decision.due == build.now + timedelta(hours=23)


def test_a_day_later_it_is_tried_again(build: Any) -> None:
    ended = old_age(build, phase=Phase.INEFFECTIVE, finished_at=build.now - DAY)
    situation = build.situation(policy=policy(build), report=report(build, 31), recent=(ended,))

    decision = decide(situation, build.remediations)

    assert isinstance(decision.steps[0], OpenRemediation)


def test_a_node_that_no_longer_tells_its_age_is_not_taken_to_be_young(build: Any) -> None:
    situation = build.situation(
        policy=policy(build), report=report(build, None), treatment=old_age(build)
    )

    assert checks.measured(situation).reason == "NotMeasured"
