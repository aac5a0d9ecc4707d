"""Every check, by what the situation is like: the reason and the sentence it answers with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from kernelhealth_api.v1alpha1.kernelhealthpolicy import Disruption, Mode
from kernelhealth_api.v1alpha1.nodekernelhealth import Health
from kernelhealth_api.v1alpha1.noderemediation import Decision, Phase
from kernelhealth_api.v1alpha1.selector import LabelRequirement, LabelSelector
from kernelhealth_operator.policy import checks, guards, turns
from kernelhealth_operator.policy.decision import Verdict
from kernelhealth_operator.policy.situation import CONTROL_PLANE, Situation, Tally

Check = Callable[[Situation], Verdict]
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@dataclass(frozen=True)
class Case:
    """What differs from a situation in which everything may be done, and what is answered."""

    check: Check
    given: Callable[[Any], dict[str, Any]]
    reason: str
    message: str


def overruled(b: Any, ago: timedelta, **changes: Any) -> tuple[Any, ...]:
    return (b.treatment(Phase.CANCELLED, "Overruled", finished_at=b.now - ago, **changes),)


NOES = {
    "a node of the control plane is selected with all others": Case(
        turns.control_plane_meant,
        lambda b: {"node": b.node(labels={CONTROL_PLANE: ""})},
        "ControlPlaneNotSelected",
        "the node runs the control plane, and the nodeSelector does not name "
        "node-role.kubernetes.io/control-plane: do so, for example with the operator Exists, to "
        "have such nodes treated",
    ),
    "no policy selects the node": Case(
        checks.policy_exists,
        lambda _: {"policy": None},
        "NoPolicy",
        "no KernelHealthPolicy selects this node",
    ),
    "the policy has mistakes": Case(
        checks.policy_ready,
        lambda b: {"policy": b.policy(problems=("spec.rules[0]: wrong", "more"))},
        "PolicyNotReady",
        "policy workers must be corrected first: spec.rules[0]: wrong",
    ),
    "two people paused the policy": Case(
        checks.not_paused,
        lambda b: {"policy": b.policy(pause_requests=("ann: upgrade", "bob: audit"))},
        "Paused",
        "policy workers is paused by: ann: upgrade; bob: audit",
    ),
    "the node is being deleted": Case(
        checks.node_stays,
        lambda b: {"node": b.node(deleting=True)},
        "NodeDeleting",
        "the Node is being deleted",
    ),
    "the node is exempt": Case(
        checks.not_opted_out,
        lambda b: {"node": b.node(labels={"kernelhealth.io/ignore": "true"})},
        "OptedOut",
        "the Node has the label kernelhealth.io/ignore=true: remove it to have it treated",
    ),
    "a treatment is open already": Case(
        checks.no_other_treatment,
        lambda b: {"treatment": b.treatment()},
        "UnderTreatment",
        "NodeRemediation worker-1-abc has not ended yet",
    ),
    "a cordon was left over": Case(
        checks.no_leftover,
        lambda b: {"node": b.node(cordon_owner="old")},
        "LeftoverCordon",
        "the Node is still marked as cordoned by NodeRemediation old",
    ),
    "no agent ever reported": Case(
        checks.report_current,
        lambda _: {"report": None},
        "NoReport",
        "no agent has reported on this node: does one run there?",
    ),
    "the agent is silent": Case(
        checks.report_current,
        lambda b: {"report": b.report(b.finding(), silent=True)},
        "AgentSilent",
        "the node's agent has gone quiet: look at its pod",
    ),
    "the agent measured nothing": Case(
        checks.report_current,
        lambda b: {"report": b.report(health=Health.UNKNOWN)},
        "HealthUnknown",
        "the node's agent could measure nothing: the conditions of its report say why",
    ),
    "the report is about an earlier boot": Case(
        checks.report_current,
        lambda b: {"node": b.node(boot_id="new"), "report": b.report(boot_id="old")},
        "OtherBoot",
        "the report is about boot old, but the Node says it runs new",
    ),
    "no rule is about the findings": Case(
        checks.finding_there,
        lambda b: {"report": b.report(b.finding(reason="SomethingElse"))},
        "NoFinding",
        "no rule of the policy matches the report",
    ),
    "the policy observes": Case(
        checks.mode_acts,
        lambda b: {"policy": b.policy(mode=Mode.OBSERVE)},
        "ObserveOnly",
        "the mode of the rule is Observe: it only reports",
    ),
    "the rule observes although the policy acts": Case(
        checks.mode_acts,
        lambda b: {"policy": b.policy(b.rule(mode=Mode.OBSERVE))},
        "ObserveOnly",
        "the mode of the rule is Observe: it only reports",
    ),
    "the finding is too young": Case(
        checks.persisted,
        lambda b: {
            "policy": b.policy(b.rule(for_=5 * MINUTE)),
            "matched_since": {"leaks": b.now - 4 * MINUTE},
        },
        "NotLongEnough",
        "rule leaks acts on what has lasted 5m, which is not so yet",
    ),
    "nobody knows since when the finding is there": Case(
        checks.persisted,
        lambda b: {"policy": b.policy(b.rule(for_=5 * MINUTE))},
        "NotLongEnough",
        "rule leaks acts on what has lasted 5m, which is not so yet",
    ),
    "a person uncordoned the node half an hour ago": Case(
        checks.cooled_down,
        lambda b: {"recent": overruled(b, HOUR / 2)},
        "CoolingDown",
        "a person ended NodeRemediation worker-1-abc; "
        "the node is let be until 2026-01-01 12:30:00Z",
    ),
    "a person rejected the last treatment": Case(
        checks.cooled_down,
        lambda b: {
            "recent": (b.treatment(Phase.CANCELLED, decision=Decision.REJECTED, finished_at=b.now),)
        },
        "CoolingDown",
        "a person ended NodeRemediation worker-1-abc; "
        "the node is let be until 2026-01-01 13:00:00Z",
    ),
    "a person ended it, but nobody wrote down when": Case(
        checks.cooled_down,
        lambda b: {"recent": (b.treatment(Phase.CANCELLED, "Overruled"),)},
        "CoolingDown",
        "a person ended NodeRemediation worker-1-abc; the node is let be until that can be dated",
    ),
    "what is treated could not be measured": Case(
        checks.measured,
        lambda b: {
            "treatment": b.treatment(),
            "report": b.report(unmeasured=frozenset({"NetworkNamespaceLeaked"})),
        },
        "NotMeasured",
        "the agent cannot measure NetworkNamespaceLeaked at present: its conditions say why",
    ),
    "nothing is known of what is treated": Case(
        checks.measured,
        lambda b: {"treatment": b.treatment(), "report": None},
        "NotMeasured",
        "nothing is known about the findings",
    ),
    "nobody approved yet": Case(
        checks.approved,
        lambda b: {"policy": b.policy(mode=Mode.PROPOSE), "treatment": b.treatment()},
        "Approval",
        "a person must set spec.decision of NodeRemediation worker-1-abc to Approved",
    ),
    "there is no rule to approve for": Case(
        checks.approved,
        lambda b: {"treatment": b.treatment(rule="removed", decision=Decision.APPROVED)},
        "Approval",
        "there is no rule that asks for the treatment",
    ),
    "nobody knows how the other nodes are": Case(
        turns.others_known,
        lambda _: {"unheard": ("Node",)},
        "ClusterUnheard",
        "nothing was heard lately of the kinds Node: it is tried again",
    ),
    "another control-plane node is under treatment": Case(
        turns.control_plane_spared,
        lambda b: {
            "node": b.node(labels={CONTROL_PLANE: ""}),
            "control_plane_treated": frozenset({"control-2", "worker-1"}),
        },
        "ControlPlaneBusy",
        "control-plane node control-2 is under treatment, and they take turns",
    ),
    "as many nodes as allowed are out of service": Case(
        turns.room_left,
        lambda _: {"others": Tally(nodes=9, sound=7, unavailable=2)},
        "MaxUnavailable",
        "no more than 2 of the policy's nodes may be unavailable at once",
    ),
    "nobody says how many may be out of service": Case(
        turns.room_left,
        lambda _: {"policy": None},
        "MaxUnavailable",
        "no more than 0 of the policy's nodes may be unavailable at once",
    ),
    "too few nodes are healthy": Case(
        turns.enough_sound,
        lambda _: {"others": Tally(nodes=9, sound=5)},
        "MinHealthy",
        "at least 51% of the policy's nodes must stay available and healthy",
    ),
}

YESES = {
    "the control plane is meant by a label": Case(
        turns.control_plane_meant,
        lambda b: {
            "node": b.node(labels={CONTROL_PLANE: ""}),
            "policy": b.policy(node_selector=LabelSelector(match_labels={CONTROL_PLANE: ""})),
        },
        "Ok",
        "the policy selects nodes of the control plane by their label",
    ),
    "the control plane is meant by a requirement": Case(
        turns.control_plane_meant,
        lambda b: {
            "node": b.node(labels={CONTROL_PLANE: ""}),
            "policy": b.policy(
                node_selector=LabelSelector(
                    match_expressions=(LabelRequirement(key=CONTROL_PLANE, operator="Exists"),)
                )
            ),
        },
        "Ok",
        "the policy selects nodes of the control plane by their label",
    ),
    "the node is exempt with another value than true": Case(
        checks.not_opted_out,
        lambda b: {"node": b.node(labels={"kernelhealth.io/ignore": "false"})},
        "Ok",
        "the Node is not exempt",
    ),
    "either side does not know its boot": Case(
        checks.report_current,
        lambda b: {"node": b.node(boot_id="new")},
        "Ok",
        "the agent reports",
    ),
    "the finding is exactly old enough": Case(
        checks.persisted,
        lambda b: {
            "policy": b.policy(b.rule(for_=5 * MINUTE)),
            "matched_since": {"leaks": b.now - 5 * MINUTE},
        },
        "Ok",
        "it has lasted 5m, as rule leaks asks",
    ),
    "the rule asks for no time": Case(
        checks.persisted, lambda _: {}, "Ok", "it has lasted 0s, as rule leaks asks"
    ),
    "the cool-down has just ended": Case(
        checks.cooled_down,
        lambda b: {"recent": overruled(b, HOUR)},
        "Ok",
        "it is long ago that a person ended NodeRemediation worker-1-abc",
    ),
    "a person ended a treatment of another node of that name": Case(
        checks.cooled_down,
        lambda b: {"recent": overruled(b, MINUTE, node_uid="uid-0")},
        "Ok",
        "no person has ended a treatment of this node lately",
    ),
    "the last treatment ended by itself": Case(
        checks.cooled_down,
        lambda b: {"recent": (b.treatment(Phase.CANCELLED, finished_at=b.now),)},
        "Ok",
        "no person has ended a treatment of this node lately",
    ),
    "a treated finding is reported while another is not measured": Case(
        checks.measured,
        lambda b: {
            "treatment": b.treatment(),
            "report": b.report(b.finding(), unmeasured=frozenset({"NetworkNamespaceLeaked"})),
        },
        "Ok",
        "what is treated was measured",
    ),
    "a person approved": Case(
        checks.approved,
        lambda b: {
            "policy": b.policy(mode=Mode.PROPOSE),
            "treatment": b.treatment(decision=Decision.APPROVED),
        },
        "Ok",
        "a person approved",
    ),
    "the rule needs no approval although the policy proposes": Case(
        checks.approved,
        lambda b: {
            "policy": b.policy(b.rule(mode=Mode.AUTO), mode=Mode.PROPOSE),
            "treatment": b.treatment(),
        },
        "Ok",
        "rule leaks needs no approval",
    ),
    "a worker's turn does not depend on the control plane": Case(
        turns.control_plane_spared,
        lambda _: {"control_plane_treated": frozenset({"control-2"})},
        "Ok",
        "no other control-plane node is under treatment",
    ),
    "there is room for one more": Case(
        turns.room_left,
        lambda _: {"others": Tally(nodes=9, sound=8, unavailable=1)},
        "Ok",
        "one more node may be unavailable",
    ),
    "just enough others are healthy": Case(
        turns.enough_sound,
        lambda _: {"others": Tally(nodes=9, sound=6)},
        "Ok",
        "enough other nodes are healthy",
    ),
    "a single node is all there is, and nobody has to stay": Case(
        turns.enough_sound,
        lambda b: {
            "policy": b.policy(disruption=Disruption(max_unavailable=1, min_healthy=0)),
            "others": Tally(),
        },
        "Ok",
        "enough other nodes are healthy",
    ),
}


@pytest.mark.parametrize("case", NOES.values(), ids=NOES)
def test_says_no_and_why(build: Any, case: Case) -> None:
    situation = build.situation(**case.given(build))

    verdict = case.check(situation)

    assert (verdict.ok, verdict.reason, verdict.message) == (False, case.reason, case.message)


@pytest.mark.parametrize("case", YESES.values(), ids=YESES)
def test_says_yes(build: Any, case: Case) -> None:
    situation = build.situation(**case.given(build))

    verdict = case.check(situation)

    assert (verdict.ok, verdict.reason, verdict.message) == (True, case.reason, case.message)


def test_a_check_that_time_alone_may_change_says_when(build: Any) -> None:
    young = build.situation(
        policy=build.policy(build.rule(for_=5 * MINUTE)),
        matched_since={"leaks": build.now - MINUTE},
    )
    cooling = build.situation(recent=overruled(build, MINUTE))

    moments = checks.persisted(young).retry_at, checks.cooled_down(cooling).retry_at

    assert moments == (build.now + 4 * MINUTE, build.now + 59 * MINUTE)


def test_the_first_objection_ends_the_chain(build: Any) -> None:
    situation = build.situation(policy=build.policy(pause_requests=("ann: upgrade",)), report=None)

    verdicts = guards.ask(situation, guards.OPENING)

    assert [verdict.check for verdict in verdicts] == [
        "policy_exists",
        "policy_ready",
        "not_paused",
    ]
    assert guards.objection(verdicts) == verdicts[-1]


def test_a_chain_without_objection_gives_every_verdict(build: Any) -> None:
    verdicts = guards.ask(build.situation(), guards.OPENING)

    assert len(verdicts) == len(guards.OPENING)
    assert guards.objection(verdicts) is None


@pytest.mark.parametrize(
    "chain", [guards.OPENING, guards.HOLDING, guards.ENDING, guards.WITHDRAWING, guards.ACTING]
)
def test_every_check_names_itself_in_its_verdict(build: Any, chain: guards.Chain) -> None:
    verdicts = [check(build.situation()) for check in chain]

    assert [verdict.check for verdict in verdicts] == [check.__name__ for check in chain]
