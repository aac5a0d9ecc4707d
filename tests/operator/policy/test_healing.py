"""Giving a node back while what is to give it back may be under way still.

Whoever sent it may be stopped, or not hear the answer. A decision that forgets that it was sent
takes the node for one that a person took back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kernelhealth_api.v1alpha1.kernelhealthpolicy import Recovery
from kernelhealth_api.v1alpha1.noderemediation import (
    NodeRemediationStatus,
    Phase,
    RungState,
)
from kernelhealth_api.v1alpha1.request import (
    Fixing,
    HostAction,
    HostRequest,
    RequestState,
    RequestStatus,
)
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.decision import Decision, SetStatus
from kernelhealth_operator.policy.situation import Situation

NAME = "worker-1-abc"
ON_ITS_WAY = timedelta(minutes=2)


def written(decision: Decision) -> NodeRemediationStatus:
    (status,) = (step.status for step in decision.steps if isinstance(step, SetStatus))
    return status


def being_given_back(build: Any, ago: timedelta, **changes: Any) -> Situation:
    """The situation of a node that is cordoned still, *ago* after that was to be undone."""
    rung = RungState(action="cordon", state="Reverting", finished_at=build.now - ago)
    phase = changes.pop("phase", Phase.VERIFYING)
    given = {"healthy_since": build.now - timedelta(hours=1)} if phase is Phase.VERIFYING else {}
    treatment = build.treatment(phase, rungs=(rung,), message="Healed: it was", **given)
    node = build.node(unschedulable=True, cordon_owner=NAME)
    situation: Situation = build.situation(node=node, treatment=treatment, **changes)
    return situation


def after(build: Any, situation: Situation, decision: Decision, **changes: Any) -> Decision:
    """What is decided once *decision* was carried out, and *changes* have befallen."""
    assert situation.treatment is not None
    treatment = replace(situation.treatment, status=written(decision))
    return decide(replace(situation, treatment=treatment, **changes), build.remediations)


def test_findings_that_return_wait_for_what_may_give_the_node_back_any_moment(build: Any) -> None:
    situation = being_given_back(build, timedelta(seconds=30))

    decision = decide(situation, build.remediations)

    assert [type(step).__name__ for step in decision.steps] == ["SetStatus"]
    assert written(decision).rungs[0].state == "Reverting"
    assert (written(decision).phase, written(decision).healthy_since) == (Phase.RUNNING, None)
    assert str(decision.waiting_for).startswith("GivingBack: ")
    assert decision.due == build.now + timedelta(seconds=90)


def test_a_node_that_is_given_back_late_is_not_taken_for_one_that_a_person_took(
    build: Any,
) -> None:
    situation = being_given_back(build, timedelta(seconds=30))
    waited = decide(situation, build.remediations)

    decision = after(build, situation, waited, node=build.node())

    assert written(decision).phase is Phase.CANCELLED
    assert written(decision).rungs[0].state == "Reverted"
    assert written(decision).message == "the findings came back while the node was being given back"


def test_a_person_is_heard_while_that_is_waited_for(build: Any) -> None:
    situation = being_given_back(build, timedelta(seconds=30))
    waited = decide(situation, build.remediations)
    undone = build.node(cordon_owner=NAME)

    dropped = after(build, situation, waited, node=undone)
    decision = after(build, situation, dropped, node=undone)

    assert written(decision).rungs[0].state == "Overruled"


def test_what_cannot_arrive_any_more_is_not_waited_for(build: Any) -> None:
    situation = being_given_back(build, ON_ITS_WAY)

    decision = decide(situation, build.remediations)

    assert written(decision).rungs[0].state == "Done"
    assert written(decision).message == "the findings came back"


def test_findings_that_go_away_again_meanwhile_are_proved_anew(build: Any) -> None:
    situation = being_given_back(build, timedelta(seconds=30))
    waited = decide(situation, build.remediations)
    later = {"now": build.now + timedelta(seconds=10), "report": build.report()}

    decision = after(build, situation, waited, **later)

    assert decision.steps == ()
    assert str(decision.waiting_for).startswith("GivingBack: ")


@pytest.mark.parametrize(
    ("ago", "state"),
    [(timedelta(seconds=30), "Reverting"), (ON_ITS_WAY, "Done")],
    ids=["may arrive", "cannot arrive any more"],
)
def test_a_recovery_that_is_yet_to_be_proved_waits_for_it_too(
    build: Any, ago: timedelta, state: str
) -> None:
    # The policy wanted it no more, wants it again, and now the findings are gone.
    healed = being_given_back(build, ago, phase=Phase.RUNNING, report=build.report())

    decision = decide(healed, build.remediations)

    assert written(decision).rungs[0].state == state


def test_giving_back_once_more_is_counted_from_then_on(build: Any) -> None:
    situation = being_given_back(build, timedelta(minutes=9), report=build.report())

    again = decide(situation, build.remediations)
    sick = {"report": build.report(build.finding()), "now": build.now + timedelta(minutes=1)}
    decision = after(build, situation, again, **sick)

    assert written(again).rungs[0].finished_at == build.now
    assert written(decision).rungs[0].state == "Reverting"


def test_a_longer_healthy_delay_does_not_forget_that_the_node_is_being_given_back(
    build: Any,
) -> None:
    slow = build.policy(recovery=Recovery(healthy_delay=timedelta(hours=2)))
    situation = being_given_back(build, timedelta(seconds=30), report=build.report(), policy=slow)

    decision = decide(situation, build.remediations)

    assert written(decision).rungs[0].state == "Reverting"
    assert written(decision).phase is Phase.VERIFYING


def test_no_node_is_given_back_while_its_agent_is_at_work_on_it(build: Any) -> None:
    # What the agent does has helped already, and the delay is over.
    at_work, done = under_surgery(build, RequestState.RUNNING), under_surgery(build)

    waiting = decide(at_work, build.remediations)
    ending = decide(done, build.remediations)

    assert written(waiting).phase is Phase.VERIFYING
    assert written(waiting).rungs[0].state == "Done"
    assert str(waiting.waiting_for).startswith("AgentAsked: ")
    assert written(ending).rungs[0].state == "Reverting"


def test_what_an_agent_never_answers_keeps_no_node(build: Any) -> None:
    at_work = under_surgery(build, RequestState.RUNNING)

    decision = decide(replace(at_work, now=build.now + timedelta(hours=1)), build.remediations)

    assert written(decision).rungs[0].state == "Reverting"


def under_surgery(build: Any, state: RequestState = RequestState.SUCCEEDED) -> Situation:
    """A node that is well again, while its agent was asked to free something."""
    asked = HostRequest(
        id=f"{NAME}-1-unload-rpc-gss-module",
        action=HostAction(reclaim=Fixing(fix="UnloadRpcGssModule", reasons=("GssProxyPin",))),
        boot_id="boot-1",
        deadline=build.now + timedelta(minutes=5),
    )
    answer = RequestStatus(id=asked.id, state=state, message="UnloadRpcGssModule: 1 done")
    rungs = (
        RungState(action="cordon", state="Done", finished_at=build.now),
        RungState(action="reclaim", state="Running", requests=(asked.id,)),
    )
    treatment = build.treatment(
        Phase.VERIFYING,
        plan=({"cordon": {}}, {"reclaim": {}}),
        rungs=rungs,
        healthy_since=build.now - timedelta(hours=1),
    )
    situation: Situation = build.situation(
        node=build.node(unschedulable=True, cordon_owner=NAME),
        treatment=treatment,
        report=replace(build.report(), asked=asked, request=answer),
    )
    return situation
