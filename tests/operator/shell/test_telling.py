"""What is written about nodes and policies, as pure comparisons."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernelhealth_api.v1alpha1.kernelhealthpolicy import (
    KernelHealthPolicySpec,
)
from kernelhealth_api.v1alpha1.nodekernelhealth import NodeKernelHealthSpec, RemediationState
from kernelhealth_api.v1alpha1.noderemediation import NodeRemediationStatus, Phase
from kernelhealth_api.v1alpha1.policystatus import KernelHealthPolicyStatus
from kernelhealth_operator import catalogue, standings, upkeep
from kernelhealth_operator.errors import CatalogueBroken
from kernelhealth_operator.events import Notice, TokenBucket, event
from kernelhealth_operator.executor import DryRun, Subject, replacement
from kernelhealth_operator.headcount import Standing
from kernelhealth_operator.kinds import health_of, node_of
from kernelhealth_operator.news import Told, notices
from kernelhealth_operator.policy.decision import Announce, Decision
from kernelhealth_operator.policy.situation import Policy, Report, Tally
from kernelhealth_operator.probes import Limits, Vitals, complaints, unheard
from kernelhealth_operator.reports import node_of_view

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = Policy("workers", NOW, 1, KernelHealthPolicySpec())
VIEW = node_of({"metadata": {"name": "alpha", "uid": "n1"}})
STATE = RemediationState(name="alpha-1", phase="Running")


def _health(**status: Any) -> Any:
    return health_of({"metadata": {"name": "alpha", "uid": "h1"}, "status": status})


def _condition(status: str, reason: str) -> dict[str, str]:
    moved = "2025-12-31T00:00:00Z"
    return {"type": "XHealthy", "status": status, "reason": reason, "lastTransitionTime": moved}


def test_a_status_that_says_it_already_is_not_written() -> None:
    health = _health(remediation=STATE.model_dump(mode="json"))

    assert upkeep.status(health, STATE, None, NOW) is None
    assert upkeep.status(health, None, None, NOW) == {}


def test_a_silent_agent_leaves_no_condition_that_claims_to_know() -> None:
    health = _health(health="Healthy", conditions=[_condition("True", "Healthy")])

    status = upkeep.status(health, STATE, 1800.0, NOW)

    assert status is not None
    assert status["health"] == "Unknown"
    assert status["remediation"]["name"] == "alpha-1"
    (condition,) = status["conditions"]
    assert (condition["status"], condition["reason"]) == ("Unknown", "AgentSilent")
    assert condition["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    assert "30m or longer" in condition["message"]
    written = _health(**json.loads(json.dumps(status)))
    assert upkeep.status(written, STATE, 1800.0, NOW + timedelta(hours=1)) is None


def test_a_condition_that_was_unknown_before_keeps_its_time() -> None:
    health = _health(health="Unknown", conditions=[_condition("Unknown", "ReadFailed")])

    status = upkeep.status(health, None, 1800.0, NOW)

    assert status is not None
    assert status["conditions"][0]["lastTransitionTime"] == "2025-12-31T00:00:00Z"


def test_empty_thresholds_are_never_applied() -> None:
    spec = KernelHealthPolicySpec(detectors={"gssproxy": {}})

    wanted = upkeep.spec(replace(POLICY, spec=spec))

    assert upkeep.wire(wanted) == {"policy": "workers"}
    assert upkeep.wire(NodeKernelHealthSpec()) == {}


def test_an_object_without_an_owner_is_adopted_and_one_of_another_node_is_not() -> None:
    orphan = _health()
    owner = {"kind": "Node", "uid": "n0"}
    other = health_of({"metadata": {"name": "alpha", "ownerReferences": [owner]}})

    assert upkeep.outdated(VIEW, orphan, NodeKernelHealthSpec())
    assert not upkeep.foreign(VIEW, orphan)
    assert upkeep.foreign(VIEW, other)


def test_a_status_of_a_policy_keeps_the_time_of_what_did_not_change() -> None:
    first = standings.status(POLICY, Tally(nodes=1), KernelHealthPolicyStatus(), NOW)

    later = standings.status(POLICY, Tally(nodes=1), first, NOW + timedelta(hours=1))
    paused = replace(
        POLICY, spec=POLICY.spec.model_copy(update={"pause_requests": ("ann: racks",)})
    )
    changed = standings.status(paused, Tally(nodes=1), first, NOW + timedelta(hours=1))

    assert standings.same(first, later)
    times = {one.type: one.last_transition_time for one in changed.conditions}
    assert times == {
        "Ready": NOW,
        "Paused": NOW + timedelta(hours=1),
        "StormActive": NOW,
        "WindowTooShort": NOW,
    }
    assert changed.remediations_allowed == 0


def test_a_policy_with_problems_allows_nothing_and_names_them() -> None:
    wrong = replace(POLICY, problems=("spec.rules[0].name: is odd",))

    status = standings.status(wrong, Tally(nodes=9, sound=9), KernelHealthPolicyStatus(), NOW)

    ready = status.conditions[0]
    assert (ready.status, ready.message) == ("False", "spec.rules[0].name: is odd")
    assert status.remediations_allowed == 0


def _standing(*reasons: str, silent: bool = False) -> Standing:
    body = [
        {"reason": one, "severity": "Critical", "message": f"{one}!", "since": NOW.isoformat()}
        for one in reasons
    ]
    findings = _health(findings=body).findings
    report = Report(_health().health, findings, None, silent, NOW)
    return Standing(node_of_view(VIEW), report, "workers", Tally(), silent)


@pytest.mark.parametrize(
    ("standing", "before", "after", "said"),
    [
        (_standing("A"), Told(), Told(frozenset("A")), [("Warning", "A", "A!")]),
        (_standing("A", "A"), Told(), Told(frozenset("A")), [("Warning", "A", "A!")]),
        (
            _standing(),
            Told(frozenset("A")),
            Told(),
            [("Normal", "ACleared", "A is no longer found on the node.")],
        ),
        (_standing("A"), Told(frozenset("A")), Told(frozenset("A")), []),
    ],
    ids=["one appears", "one with two causes appears once", "one has gone", "nothing changes"],
)
def test_findings_are_told_once(
    standing: Standing, before: Told, after: Told, said: list[tuple[str, str, str]]
) -> None:
    told = [(one.type, one.reason, one.note) for one in notices(standing, before, after)]

    assert told == said


def test_an_event_names_the_node_with_its_uid_and_is_never_too_long() -> None:
    body = event(Notice("alpha", "n1", "Warning", "Leaked", "ä" * 2000), "pod-1", NOW)

    assert body["metadata"]["namespace"] == "default"
    assert body["regarding"] == {"apiVersion": "v1", "kind": "Node", "name": "alpha", "uid": "n1"}
    assert len(body["note"].encode()) < 1024
    assert body["eventTime"] == "2026-01-01T00:00:00.000000Z"


def test_a_bucket_gives_its_burst_and_then_what_time_brings() -> None:
    now = [0.0]
    bucket = TokenBucket(2, 0.5, lambda: now[0])

    at_once = [bucket.take() for _ in range(3)]
    now[0] = 2.0
    later = [bucket.take() for _ in range(2)]

    assert at_once == [True, True, False]
    assert later == [True, False]


def test_a_replaced_status_leaves_nothing_of_the_one_before() -> None:
    body = replacement(NodeRemediationStatus(phase=Phase.RUNNING))

    assert body["phase"] == "Running"
    assert body["waitingFor"] is None
    assert body["healthySince"] is None


async def test_a_dry_run_only_remembers_what_it_would_have_done() -> None:
    dry = DryRun()
    decision = Decision((Announce("Normal", "Cordoned", "alpha"),))

    again = await dry.execute(Subject("alpha", "n1"), decision, NOW)

    assert not again
    assert dry.would == {"alpha": decision}


@pytest.mark.parametrize(
    ("vitals", "words"),
    [
        (Vitals({"Node": 10.0}, {}, 0.1, 1.0), []),
        (Vitals({"Node": 181.0}, {}, 0.1, 1.0), ["The watch of Node has heard nothing for 181 s."]),
        (Vitals({}, {}, 29.9, 1.0), []),
        (
            Vitals({}, {}, 30.1, 1.0),
            ["The event loop stood still for 30.1 s in the last 60 beats."],
        ),
        (Vitals({}, {}, 0.0, 31.0), ["The heartbeat is 31 s old."]),
        (Vitals({}, {"alpha": 601.0}, 0.0, 1.0), ["Looking at Node alpha has taken 601 s so far."]),
    ],
    ids=[
        "all is well",
        "a dead watch",
        "a stall that is over",
        "a stalled loop",
        "no heartbeat",
        "a look that hangs",
    ],
)
def test_the_liveness_says_what_is_wrong(vitals: Vitals, words: list[str]) -> None:
    assert list(complaints(vitals, Limits())) == words


def test_the_shipped_catalogue_names_the_reasons_of_each_condition() -> None:
    known = catalogue.shipped(())

    reasons = known.reasons["NetworkNamespacesHealthy"]
    assert "NetworkNamespaceLeaked" in reasons
    assert reasons <= known.catalogue.reasons
    assert "confirmAfter" in known.catalogue.detectors["networkNamespaces"]


def test_a_broken_catalogue_is_said_to_be_broken() -> None:
    with pytest.raises(CatalogueBroken, match="run make generate"):
        catalogue.parse("{}", ())


@dataclass
class Watch:
    last_heard: float


def test_a_watch_that_misses_its_bookmark_is_named_before_anybody_is_cordoned() -> None:
    watches = {"Node": Watch(10.0), "NodeKernelHealth": Watch(55.0)}

    assert unheard(watches, lambda: 159.0) == ()
    assert unheard(watches, lambda: 161.0) == ("Node",)
