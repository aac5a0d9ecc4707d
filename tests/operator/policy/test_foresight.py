"""What is told of a drain before it begins, and how it ends that a node could not be drained."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kernelhealth_api.remediation import CORDONED_BY, TAINTED_BY, Taint
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Mode
from kernelhealth_api.v1alpha1.noderemediation import NodeRemediationStatus, Phase, Preview
from kernelhealth_api.v1alpha1.noderemediation import RungState as Rung
from kernelhealth_operator.policy import capacity
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.decision import Announce, ChangeNode, Decision, Do, SetStatus
from kernelhealth_operator.policy.situation import Tally
from kernelhealth_operator.remediations.taint import KEY

NAME = "worker-1-abc"
ROUGH = "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker-1&resourceVersion=0"
NODES = capacity.path("worker-1")
SHOP = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets"
PLAN: tuple[dict[str, dict[str, Any]], ...] = ({"cordon": {}}, {"drain": {}})
OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "w", "uid": "u", "controller": True}
BARE = {"metadata": {"namespace": "shop", "name": "bare", "uid": "u-1"}}
PLAIN = {"metadata": {**BARE["metadata"], "name": "plain", "ownerReferences": [OWNER]}}
OURS = Taint(KEY, "NetworkNamespaceLeaked", "NoSchedule")


def read(*pods: dict[str, Any]) -> dict[str, Any]:
    return {ROUGH: {"items": list(pods)}, SHOP: {"items": []}}


def written(decision: Decision) -> NodeRemediationStatus:
    (status,) = (step.status for step in decision.steps if isinstance(step, SetStatus))
    return status


def proposed(build: Any, **changes: Any) -> Any:
    rule = build.rule(actions=PLAN)
    rungs = (Rung(action="cordon", state="Pending"), Rung(action="drain", state="Pending"))
    status = {"plan": PLAN, "rungs": rungs, **changes.pop("status", {})}
    return build.situation(
        policy=build.policy(rule, mode=Mode.PROPOSE),
        treatment=build.treatment(Phase.PROPOSED, **status),
        **changes,
    )


def draining(build: Any, **changes: Any) -> Any:
    rule = build.rule(actions=PLAN)
    drain = Rung(action="drain", state="Running", started_at=build.now - timedelta(minutes=1))
    rungs = (Rung(action="cordon", state="Done"), drain)
    return build.situation(
        policy=build.policy(rule),
        node=build.node(unschedulable=True, cordon_owner=NAME),
        treatment=build.treatment(Phase.RUNNING, plan=PLAN, rungs=rungs),
        **changes,
    )


def test_a_proposal_asks_for_what_it_has_to_know_and_then_tells(build: Any) -> None:
    asking = decide(proposed(build), build.remediations)
    telling = decide(proposed(build, read={**read(PLAIN), NODES: None}), build.remediations)

    assert asking.reads == (ROUGH, NODES)
    assert str(asking.waiting_for).startswith("Approval: ")
    preview = written(telling).preview
    assert preview is not None
    assert preview.names == ("shop/plain",)
    assert preview.as_of == build.now
    assert str(written(telling).waiting_for).startswith("Approval: ")


@pytest.mark.parametrize(("minutes", "asks"), [(9, False), (10, True)])
def test_a_preview_is_renewed_when_it_is_old_and_not_before(
    build: Any,
    minutes: int,
    asks: bool,  # noqa: FBT001
) -> None:
    made = build.now - timedelta(minutes=minutes)
    before = {"preview": Preview(as_of=made), "waiting_for": None}

    decision = decide(proposed(build, status=before), build.remediations)

    assert bool(decision.reads) == asks
    assert asks or decision.due == made + timedelta(minutes=10)


def test_nothing_is_foreseen_of_a_plan_without_a_drain(build: Any) -> None:
    situation = build.situation(
        policy=build.policy(mode=Mode.PROPOSE), treatment=build.treatment(Phase.PROPOSED)
    )

    assert decide(situation, build.remediations).reads == ()


def test_a_drain_writes_that_it_steps_before_it_evicts(build: Any) -> None:
    decision = decide(draining(build, read=read(PLAIN)), build.remediations)

    assert [type(step) for step in decision.steps] == [SetStatus, Do]
    assert written(decision).rungs[1].stepped_at == build.now


def test_a_drain_that_has_just_begun_has_not_stepped(build: Any) -> None:
    begun = draining(build, read=read(PLAIN))
    fresh = begun.treatment.status.rungs[1].model_copy(update={"started_at": None})
    rungs = (begun.treatment.status.rungs[0], fresh)
    status = begun.treatment.status.model_copy(update={"rungs": rungs})

    decision = decide(
        replace(begun, treatment=replace(begun.treatment, status=status)), build.remediations
    )

    drain = written(decision).rungs[1]
    assert (drain.started_at, drain.stepped_at) == (build.now, None)


def test_nothing_is_foreseen_of_what_has_begun(build: Any) -> None:
    crowded = draining(build, others=Tally(nodes=9, unavailable=2, sound=7))

    decision = decide(crowded, build.remediations)

    assert str(decision.waiting_for).startswith("MaxUnavailable: ")
    assert decision.reads == ()


def test_a_drain_that_is_refused_ends_the_treatment_and_the_node_keeps_its_cordon(
    build: Any,
) -> None:
    decision = decide(draining(build, read=read(BARE)), build.remediations)

    status = written(decision)
    assert status.phase is Phase.FAILED
    assert status.finished_at == build.now
    assert [rung.state for rung in status.rungs] == ["Done", "Failed"]
    assert "nobody would make shop/bare anew" in status.message
    (event,) = (step for step in decision.steps if isinstance(step, Announce))
    assert (event.type, event.reason) == ("Warning", "RemediationFailed")
    (change,) = (step for step in decision.steps if isinstance(step, ChangeNode))
    assert "spec" not in change.action.body


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.INEFFECTIVE])
def test_a_node_that_was_not_healed_keeps_its_marks_until_it_is_well(
    build: Any, phase: Phase
) -> None:
    ended = build.treatment(phase, "Done", finished_at=build.now)
    node = build.node(taint_owner=NAME, taints=(OURS,))

    sick = decide(build.situation(node=node, recent=(ended,)), build.remediations)
    well = decide(
        build.situation(node=node, recent=(ended,), report=build.report()), build.remediations
    )

    assert sick.steps == ()
    (change,) = (step for step in well.steps if isinstance(step, ChangeNode))
    assert change.action.body["spec"] == {"taints": []}


def test_cordon_and_taint_are_given_back_in_one_change(build: Any) -> None:
    plan: tuple[dict[str, dict[str, Any]], ...] = ({"cordon": {}}, {"taint": {}})
    situation = build.situation(
        node=build.node(unschedulable=True, cordon_owner=NAME, taint_owner=NAME, taints=(OURS,)),
        report=build.report(),
        policy=build.policy(build.rule(actions=plan)),
        treatment=build.treatment(
            Phase.VERIFYING,
            plan=plan,
            rungs=tuple(Rung(action=name, state="Done") for each in plan for name in each),
            healthy_since=build.now - timedelta(hours=1),
        ),
    )

    decision = decide(situation, build.remediations)

    (change,) = (step for step in decision.steps if isinstance(step, ChangeNode))
    metadata = change.action.body["metadata"]
    assert metadata["annotations"] == {CORDONED_BY: None, TAINTED_BY: None}
    assert change.action.body["spec"] == {"unschedulable": None, "taints": []}
    events = [step.reason for step in decision.steps if isinstance(step, Announce)]
    assert events == ["NodeUntainted", "NodeUncordoned"]


def test_a_tainted_node_takes_no_pods_and_so_counts_as_unavailable(build: Any) -> None:
    assert build.node().available
    assert not build.node(taint_owner=NAME).available
