"""What is told about a node is what decides about it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kernelhealth_api.v1alpha1.kernelhealthpolicy import Match, Mode
from kernelhealth_operator.policy import explaining, guards
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.explaining import Checked
from kernelhealth_operator.policy.situation import Situation, Tally

LEAK, RESIDUE = "NetworkNamespaceLeaked", "ResidualPodLink"


def said(checked: Checked) -> list[str]:
    return [each.check for each in (*checked.asked, *checked.beyond)]


def noes(checked: Checked) -> list[str]:
    return [each.reason for each in (*checked.asked, *checked.beyond) if not each.ok]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="nothing stands in the way"),
        pytest.param({"paused": True}, id="the policy is paused"),
        pytest.param({"full": True}, id="there is no room"),
        pytest.param({"observe": True}, id="the rule only observes"),
        pytest.param({"silent": True}, id="the agent is silent"),
        pytest.param({"well": True}, id="nothing is wrong"),
    ],
)
def test_the_only_rule_is_explained_by_the_verdicts_of_the_decision(
    build: Any, changes: dict[str, bool]
) -> None:
    situation = _situation(build, **changes)

    (chain,) = explaining.of_rules(situation, build.remediations)

    assert chain.checked.asked == decide(situation, build.remediations).verdicts


def _situation(build: Any, **changes: bool) -> Situation:
    policy = build.policy(
        mode=Mode.OBSERVE if changes.get("observe") else Mode.AUTO,
        pause_requests=("ann: racks",) if changes.get("paused") else (),
    )
    findings = () if changes.get("well") else (build.finding(),)
    busy = Tally(nodes=9, sound=5, healthy=5, unavailable=4)
    made: Situation = build.situation(
        policy=policy,
        report=build.report(*findings, silent=bool(changes.get("silent"))),
        **({"others": busy} if changes.get("full") else {}),
    )
    return made


def test_all_that_stands_in_the_way_is_told_and_not_only_what_comes_first(build: Any) -> None:
    policy = build.policy(pause_requests=("ann: racks",))
    node = build.node(labels={"kernelhealth.io/ignore": "true"})
    busy = Tally(nodes=9, sound=5, healthy=5, unavailable=4)
    situation = build.situation(policy=policy, node=node, others=busy)

    (chain,) = explaining.of_rules(situation, build.remediations)

    assert [each.reason for each in chain.checked.asked if not each.ok] == ["Paused"]
    assert noes(chain.checked) == ["Paused", "OptedOut"]
    assert said(chain.checked) == [check.__name__ for check in guards.OPENING]


def test_room_that_lacks_does_not_hide_that_it_is_not_its_turn_either(build: Any) -> None:
    busy = Tally(nodes=9, sound=3, healthy=3, unavailable=4)
    situation = build.situation(others=busy, ahead=5)

    (chain,) = explaining.of_rules(situation, build.remediations)

    assert noes(chain.checked) == ["MaxUnavailable", "MinHealthy", "Queued"]


def test_nothing_is_asked_about_findings_that_are_not_there(build: Any) -> None:
    situation = build.situation(report=build.report())

    (chain,) = explaining.of_rules(situation, build.remediations)

    assert said(chain.checked)[-1] == "finding_there"
    assert chain.reasons == ()


def test_a_finding_is_told_of_the_rule_that_it_belongs_to(build: Any) -> None:
    observing = build.rule("observing", mode=Mode.OBSERVE)
    acting = build.rule("acting", match=Match(reasons=(LEAK, RESIDUE)))
    findings = build.finding(), build.finding(reason=RESIDUE)
    situation = build.situation(
        policy=build.policy(observing, acting), report=build.report(*findings)
    )

    first, second = explaining.of_rules(situation, build.remediations)

    assert (first.reasons, second.reasons) == ((LEAK,), (RESIDUE,))
    assert noes(first.checked) == ["ObserveOnly"]
    assert noes(second.checked) == []
    assert first.behind == "acting"


def test_the_age_of_a_node_belongs_to_the_rule_about_its_age_alone(build: Any) -> None:
    leaks = build.rule("leaks")
    old = build.rule(
        "old", match=Match(uptime=timedelta(hours=1)), actions=({"reboot": {"when": "Now"}},)
    )
    report = build.report(build.finding(), uptime=timedelta(hours=9))
    situation = build.situation(policy=build.policy(leaks, old), report=report)

    first, second = explaining.of_rules(situation, build.remediations)

    assert (first.reasons, second.reasons) == ((LEAK,), ("Uptime",))
    assert second.behind == "leaks"


def test_what_else_an_open_treatment_waits_for_is_told_as_well(build: Any) -> None:
    policy = build.policy(mode=Mode.PROPOSE, pause_requests=("ann: racks",))
    situation = build.situation(policy=policy, treatment=build.treatment())

    checked = explaining.of_treatment(situation, decide(situation, build.remediations))

    assert [str(each) for each in checked.asked] == [
        "Paused: policy workers is paused by: ann: racks"
    ]
    assert noes(checked) == ["Paused", "Approval"]


def test_a_policy_that_is_overridden_says_by_which(build: Any) -> None:
    loser = build.policy(build.rule("mine"), name="loser", pause_requests=("bob: tests",))
    situation = build.situation()

    (chain,) = explaining.of_loser(situation, loser, {})

    assert noes(chain.checked) == ["Overridden", "Paused"]
    assert "policy workers governs the node" in chain.checked.asked[0].message
    assert chain.reasons == (LEAK,)


def test_a_node_without_a_policy_says_so(build: Any) -> None:
    situation = build.situation(policy=None)

    assert explaining.of_rules(situation, build.remediations) == ()
    assert noes(explaining.of_nothing(situation)) == ["NoPolicy"]
