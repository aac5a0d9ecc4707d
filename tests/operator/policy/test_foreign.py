"""Others who are at work on a node."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from kernelhealth_api.remediation import Taint
from kernelhealth_api.v1alpha1.noderemediation import Decision, Phase, RungState
from kernelhealth_operator.policy import foreign, guards
from kernelhealth_operator.policy.decide import decide


def daemon_set(value: Any, key: str = foreign.KURED_LOCKS[0]) -> dict[str, Any]:
    text = value if isinstance(value, str) else json.dumps(value)
    return {"metadata": {"name": "kured", "annotations": {key: text}}}


@pytest.mark.parametrize("annotation", foreign.KURED_REBOOTS)
def test_a_node_that_kured_reboots_is_let_be(build: Any, annotation: str) -> None:
    node = build.node(annotations={annotation: "2026-01-01T11:59:00Z"})

    decision = decide(build.situation(node=node, treatment=build.treatment()), build.remediations)

    assert str(decision.waiting_for).startswith("OthersAtWork: kured reboots the node")


@pytest.mark.parametrize(
    "key",
    [
        "karpenter.sh/disrupted",
        "karpenter.sh/rebooting",
        "node.cluster.x-k8s.io/outdated-revision",
        "ToBeDeletedByClusterAutoscaler",
        "medik8s.io/remediation",
    ],
)
def test_a_node_that_another_project_takes_away_is_let_be(build: Any, key: str) -> None:
    node = build.node(taints=(Taint(key, "", "NoSchedule"),))

    verdict = foreign.nobody_else_reboots(build.situation(node=node))

    assert verdict.reason == "OthersAtWork"
    assert key in verdict.message


def test_taints_that_mean_no_work_are_no_hindrance(build: Any) -> None:
    node = build.node(taints=(Taint("example.com/gpu", "", "NoSchedule"),))

    assert foreign.nobody_else_reboots(build.situation(node=node)).ok


def test_whoever_was_asked_to_replace_the_node_is_no_stranger(build: Any) -> None:
    node = build.node(taints=(Taint("medik8s.io/remediation", "", "NoExecute"),))
    rungs = (RungState(action="replace", state="Running"),)
    treatment = build.treatment(Phase.RUNNING, plan=({"replace": {}},), rungs=rungs)

    assert foreign.nobody_else_reboots(build.situation(node=node, treatment=treatment)).ok


def test_others_are_asked_about_before_anything_is_done() -> None:
    assert foreign.nobody_else_reboots in guards.ACTING


@pytest.mark.parametrize(
    ("owner", "said", "reason"),
    [
        (None, Decision.PENDING, "ForeignCordon"),
        ("worker-1-other", Decision.PENDING, "ForeignCordon"),
        ("worker-1-abc", Decision.PENDING, "Ok"),
        (None, Decision.APPROVED, "Ok"),
    ],
)
def test_a_cordon_of_somebody_else_is_respected_until_a_person_approves(
    build: Any, owner: str | None, said: Decision, reason: str
) -> None:
    node = build.node(unschedulable=True, cordon_owner=owner)
    treatment = build.treatment(decision=said)

    verdict = foreign.cordoned_by_nobody_else(build.situation(node=node, treatment=treatment))

    assert verdict.reason == reason


HOUR = 3600 * 10**9
LOCKS: dict[str, tuple[Any, str | None]] = {
    "for a node": ({"nodeID": "n1", "created": "2026-01-01T11:00:00Z"}, "n1"),
    "for a node, without an end": (
        {"nodeID": "n1", "created": "2026-01-01T11:00:00Z", "TTL": 0},
        "n1",
    ),
    "for a node, for a while": (
        {"nodeID": "n1", "created": "2026-01-01T11:30:00.123456789Z", "TTL": HOUR},
        "n1",
    ),
    "no more": ({"nodeID": "n1", "created": "2026-01-01T10:59:59Z", "TTL": HOUR}, None),
    "for one of several": (
        {
            "maxOwners": 2,
            "locks": [
                {"nodeID": "n1", "created": "2026-01-01T09:00:00Z", "TTL": HOUR},
                {"nodeID": "n2", "created": "2026-01-01T11:59:00Z", "TTL": HOUR},
            ],
        },
        "n2",
    ),
    "for none of several": ({"maxOwners": 2, "locks": []}, None),
    "for nobody": ({"nodeID": ""}, None),
    "for somebody who cannot be read": ("{", "an unknown node"),
    "for somebody without a date": ({"nodeID": "n1", "TTL": HOUR}, "an unknown node"),
    "for a number": ("7", "an unknown node"),
}


@pytest.mark.parametrize(("value", "holder"), LOCKS.values(), ids=LOCKS)
@pytest.mark.parametrize("key", foreign.KURED_LOCKS)
def test_the_lock_of_kured_is_held(build: Any, value: Any, holder: str | None, key: str) -> None:
    assert foreign.lock_holder(daemon_set(value, key), build.now) == holder


@pytest.mark.parametrize("body", [None, {}, {"metadata": {}}, {"metadata": {"annotations": None}}])
def test_without_a_lock_nobody_holds_it(build: Any, body: dict[str, Any] | None) -> None:
    assert foreign.lock_holder(body, build.now + timedelta(0)) is None
