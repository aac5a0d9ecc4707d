"""A clock of the operator that jumps, or that of another leader: nothing is begun or given back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_api.remediation import CORDONED_BY
from kernelhealth_api.v1alpha1.kernelhealthpolicy import MaintenanceWindow
from kernelhealth_api.v1alpha1.noderemediation import Phase, RungState
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.decision import ChangeNode, Decision, Do, OpenRemediation
from kernelhealth_operator.policy.reprieve import LET_BE

NAME = "worker-1-abc"
BACKWARDS = st.timedeltas(timedelta(days=-400), timedelta(0))


def does(decision: Decision) -> bool:
    return any(isinstance(step, ChangeNode | Do | OpenRemediation) for step in decision.steps)


@given(back=BACKWARDS)
def test_a_clock_that_jumps_back_gives_no_node_back(build: Any, back: timedelta) -> None:
    node = build.node(unschedulable=True, cordon_owner=NAME, annotations={CORDONED_BY: NAME})
    treatment = build.treatment(Phase.VERIFYING, "Done", healthy_since=build.now)
    situation = build.situation(
        node=node, treatment=treatment, report=build.report(), now=build.now + back
    )

    decision = decide(situation, build.remediations)

    assert not does(decision)
    assert decision.due == build.now + timedelta(minutes=10)


@given(back=BACKWARDS)
def test_a_clock_that_jumps_back_shortens_no_cool_down(build: Any, back: timedelta) -> None:
    noted = build.node(annotations={LET_BE: f"{NAME} {build.now:%Y-%m-%dT%H:%M:%SZ}"})
    ended = build.treatment(Phase.CANCELLED, "Overruled", finished_at=build.now)

    for given_ in ({"node": noted}, {"recent": (ended,)}):
        situation = build.situation(now=build.now + back, **given_)

        assert not does(decide(situation, build.remediations))


@given(back=BACKWARDS)
def test_a_clock_that_jumps_back_begins_nothing_that_has_yet_to_last(
    build: Any, back: timedelta
) -> None:
    policy = build.policy(build.rule(for_=timedelta(minutes=5)))
    since = {"leaks": build.now}

    decision = decide(
        build.situation(policy=policy, matched_since=since, now=build.now + back),
        build.remediations,
    )

    assert not does(decision)
    assert decision.due == build.now + timedelta(minutes=5)


@given(minutes=st.integers(-3000, 3000))
def test_whatever_the_clock_says_a_reboot_is_begun_within_the_window_of_that_moment(
    build: Any, minutes: int
) -> None:
    now = build.now + timedelta(minutes=minutes)
    window = MaintenanceWindow(schedule="0 2 * * *", duration=timedelta(hours=4))
    actions = ({"reboot": {"kured": ""}},)
    policy = build.policy(build.rule(actions=actions), maintenance_windows=(window,))
    rungs = (RungState(action="reboot", state="Running", started_at=build.now),)
    prepared = {"kernelhealth.io/prepared-for-reboot-by": NAME}
    situation = build.situation(
        now=now,
        node=build.node(boot_id="one", annotations=prepared),
        report=build.report(build.finding(), boot_id="one"),
        policy=policy,
        treatment=build.treatment(
            Phase.RUNNING, plan=actions, boot_id="one", rungs=rungs, started_at=build.now
        ),
    )

    asked = [step for step in decide(situation, build.remediations).steps if isinstance(step, Do)]

    opens = now.replace(hour=2, minute=0)
    closes = opens + timedelta(hours=4)
    assert all(opens <= now < step.effect.request.deadline < closes for step in asked)  # type: ignore[union-attr]
    # A minute before its end it is too late, for clocks drift, and so it is three minutes before.
    assert bool(asked) == (opens <= now <= closes - timedelta(minutes=3))
