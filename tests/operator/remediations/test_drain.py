"""Emptying a node: who goes, in which order, who stays, and who stands in the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernelhealth_api import registry
from kernelhealth_api.procedure import (
    Await,
    DeletePod,
    Evict,
    Finished,
    GaveUp,
    Patient,
    Proceed,
    Progress,
)
from kernelhealth_api.remediation import Remediation
from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec
from kernelhealth_api.v1alpha1.noderemediation import Preview, RungState
from kernelhealth_operator import remediations
from kernelhealth_operator.policy import capacity
from kernelhealth_operator.remediations.drain import REMEDIATION, Drain, advance, reads

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BEGUN = NOW - timedelta(minutes=1)
ROUGH = "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker-1&resourceVersion=0"
EXACT = "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker-1"
SHOP = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets"

Body = dict[str, Any]


def pod(name: str, **changes: Any) -> Body:
    kind = changes.get("owner", "ReplicaSet")
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": "u", "controller": True}
    metadata = {
        "namespace": "shop",
        "name": name,
        "uid": f"uid-{name}",
        "labels": {"app": changes.get("app", "web")},
        "ownerReferences": [owner] if kind else [],
        "annotations": {"kubernetes.io/config.mirror": "x"} if changes.get("mirror") else {},
    }
    if changes.get("ending"):
        metadata["deletionTimestamp"] = "2026-01-01T12:00:30Z"
    volume = {"name": "scratch", "emptyDir": {}} if changes.get("scratch") else {"name": "token"}
    ready = {"type": "Ready", "status": "True" if changes.get("ready", True) else "False"}
    requests = {"requests": {"cpu": "250m", "memory": "64Mi"}}
    return {
        "metadata": metadata,
        "spec": {
            "priority": changes.get("priority", 0),
            "volumes": [volume],
            "containers": [{"name": "main", "resources": requests}],
        },
        "status": {"phase": changes.get("phase", "Running"), "conditions": [ready]},
    }


def pdb(name: str, allowed: int, app: str = "web", **spec: Any) -> Body:
    return {
        "metadata": {"namespace": "shop", "name": name, "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": app}}, **spec},
        "status": {
            "observedGeneration": 1,
            "disruptionsAllowed": allowed,
            "currentHealthy": 1,
            "desiredHealthy": 2 - allowed,
        },
    }


def node(name: str, cpu: str, *, taint: bool = False, ready: str = "True") -> Body:
    taints = [{"key": "gpu", "effect": "NoSchedule"}] if taint else []
    allocatable = {"cpu": cpu, "memory": "1Gi", "pods": "110"}
    conditions = [{"type": "Ready", "status": ready}]
    return {
        "metadata": {"name": name},
        "spec": {"taints": taints},
        "status": {"allocatable": allocatable, "conditions": conditions},
    }


def pods_of(name: str) -> str:
    return f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}&resourceVersion=0"


def patient(pods: Iterable[Body], *budgets: Body, **rung: Any) -> Patient:
    state = {"action": "drain", "state": "Running", "started_at": BEGUN, **rung}
    items = list(pods)
    read = {ROUGH: {"items": items}, SHOP: {"items": list(budgets)}}
    return Patient(
        now=NOW,
        name="worker-1",
        uid="uid-1",
        resource_version="7",
        owner="worker-1-abc",
        number=1,
        rung=RungState(**state),
        policy=KernelHealthPolicySpec(),
        read=read if items else {**read, EXACT: {"items": []}},
        others_available=4,
    )


def names(progress: Progress) -> list[str]:
    assert isinstance(progress, Proceed)
    effects = [each for each in progress.effects if isinstance(each, Evict | DeletePod)]
    return [each.name for each in effects]


def previewed(sick: Patient) -> Preview:
    procedure = REMEDIATION.procedure
    assert procedure is not None
    assert procedure.preview is not None
    return procedure.preview(sick, Drain())


def test_the_registry_finds_it() -> None:
    assert REMEDIATION in registry.load(remediations, "REMEDIATION", Remediation)


def test_pods_are_evicted_by_their_uid_the_sick_first_then_by_priority() -> None:
    pods = [
        pod("vital", priority=1000),
        pod("plain"),
        pod("sick", priority=2000, ready=False),
        pod("batch", priority=-5),
    ]

    progress = advance(patient(pods), Drain())

    assert names(progress) == ["sick", "batch", "plain", "vital"]
    assert isinstance(progress, Proceed)
    assert progress.effects[0] == Evict("shop", "sick", "uid-sick", None)


def test_mirror_pods_and_those_of_daemon_sets_stay() -> None:
    pods = [pod("agent", owner="DaemonSet"), pod("apiserver", mirror=True, owner="Node")]
    rough = patient(pods)

    progress = advance(replace(rough, read={**rough.read, EXACT: {"items": pods}}), Drain())

    assert isinstance(progress, Finished)
    assert "2 of DaemonSets and of the node itself stay" in progress.message


def test_the_pod_of_another_groups_daemon_set_has_to_go() -> None:
    theirs = pod("agent", owner="DaemonSet")
    theirs["metadata"]["ownerReferences"][0]["apiVersion"] = "apps.kruise.io/v1alpha1"

    assert names(advance(patient([theirs]), Drain())) == ["agent"]


def test_what_has_finished_goes_whatever_it_is_and_whatever_a_budget_says() -> None:
    pods = [
        pod("done", phase="Succeeded", owner="", scratch=True),
        pod("failed", phase="Failed", owner="DaemonSet"),
    ]

    progress = advance(patient(pods, pdb("web", 0)), Drain())

    assert names(progress) == ["done", "failed"]


@pytest.mark.parametrize(
    ("mine", "setting", "words"),
    [
        ({"scratch": True}, {"delete_empty_dir": True}, "set deleteEmptyDir"),
        ({"owner": ""}, {"force": True}, "set force"),
    ],
)
def test_what_would_be_lost_is_refused_by_name_unless_the_policy_allows_it(
    mine: Body, setting: Body, words: str
) -> None:
    sick = patient([pod("plain"), pod("mine", **mine)])

    refused, allowed = advance(sick, Drain()), advance(sick, Drain(**setting))

    assert isinstance(refused, GaveUp)
    assert refused.stops
    assert "shop/mine" in refused.message
    assert words in refused.message
    assert names(allowed) == ["mine", "plain"]


def test_who_is_leaving_by_somebody_elses_hand_is_waited_for_and_not_objected_to() -> None:
    sick = patient([pod("mine", scratch=True, owner="", ending=True)])

    progress = advance(sick, Drain())

    assert isinstance(progress, Await)
    assert progress.reason == "PodsTerminating"
    assert "shop/mine" in progress.message


def test_no_more_than_so_many_are_on_their_way_at_once() -> None:
    pods = [pod("a", ending=True), *(pod(name) for name in "bcde")]

    progress = advance(patient(pods), Drain(at_once=3))

    assert names(progress) == ["b", "c"]


def test_a_budget_lets_go_as_many_as_it_allows_and_the_next_look_waits_for_it_by_name() -> None:
    pods = [pod("a"), pod("b"), pod("c", app="other")]

    first = advance(patient(pods, pdb("web", 1)), Drain())
    then = advance(patient([pod("b")], pdb("web", 0)), Drain())

    assert names(first) == ["a", "c"]
    assert isinstance(then, Await)
    assert then.reason == "DisruptionBudget"
    assert then.message.startswith("PodDisruptionBudget shop/web forbids to evict shop/b")
    assert "until 2026-01-01 12:29:00Z" in then.message


def test_a_budget_that_has_not_seen_its_own_change_allows_nothing() -> None:
    stale = pdb("web", 5)
    stale["metadata"]["generation"] = 2

    progress = advance(patient([pod("a")], stale), Drain())

    assert isinstance(progress, Await)
    assert progress.reason == "DisruptionBudget"


def test_a_pod_that_is_not_ready_goes_where_the_budget_always_allows_that() -> None:
    strict = pdb("web", 0)
    lenient = pdb("web", 0, unhealthyPodEvictionPolicy="AlwaysAllow")
    sick = [pod("a", ready=False)]

    assert isinstance(advance(patient(sick, strict), Drain()), Await)
    assert names(advance(patient(sick, lenient), Drain())) == ["a"]


def test_a_pod_that_is_not_ready_goes_while_the_application_has_enough_without_it() -> None:
    whole = pdb("web", 0)
    whole["status"] |= {"currentHealthy": 2, "desiredHealthy": 2}

    assert names(advance(patient([pod("a", ready=False)], whole), Drain())) == ["a"]


def test_two_budgets_for_one_pod_are_named_since_the_api_refuses_that() -> None:
    progress = advance(patient([pod("a")], pdb("web", 1), pdb("all", 1)), Drain())

    assert isinstance(progress, Await)
    assert "shop/web, shop/all" in progress.message
    assert "more than one budget" in progress.message


def test_who_was_just_asked_is_not_asked_again_at_once() -> None:
    just = patient([pod("a")], stepped_at=NOW - timedelta(seconds=2))
    later = patient([pod("a")], stepped_at=NOW - timedelta(seconds=5))

    waiting = advance(just, Drain())

    assert isinstance(waiting, Await)
    assert waiting.retry_at == NOW + timedelta(seconds=3)
    assert names(advance(later, Drain())) == ["a"]


def test_the_clock_starts_before_anything_is_waited_for() -> None:
    progress = advance(patient([pod("a")], pdb("web", 0), started_at=None), Drain())

    assert isinstance(progress, Proceed)
    assert progress.effects == ()


def test_when_the_time_is_up_it_says_who_is_left_and_why() -> None:
    sick = patient(
        [pod("a"), pod("b", ending=True, app="other")],
        pdb("web", 0),
        started_at=NOW - timedelta(minutes=30),
    )

    progress, lenient = advance(sick, Drain()), advance(sick, Drain(required=False))
    endless = advance(sick, Drain(timeout=timedelta(0)))

    assert isinstance(progress, GaveUp)
    assert progress.stops
    assert "after 30m, shop/b, shop/a are left" in progress.message
    assert "PodDisruptionBudget shop/web forbids" in progress.message
    assert lenient == replace(progress, stops=False)
    assert isinstance(endless, Await)


def test_abort_gives_up_when_a_budget_forbids_for_long() -> None:
    abort = Drain.model_validate({"whenBlocked": "Abort", "blockedAfter": "2m"})
    pods, budget = [pod("a")], pdb("web", 0)

    early = advance(patient(pods, budget), abort)
    late = advance(patient(pods, budget, started_at=NOW - timedelta(minutes=2)), abort)

    assert isinstance(early, Await)
    assert early.message.endswith("if that lasts until 2026-01-01 12:01:00Z, the drain is aborted")
    assert isinstance(late, GaveUp)
    assert late.stops
    assert "shop/web" in late.message


def test_delete_deletes_only_whom_a_budget_has_forbidden_for_long() -> None:
    delete = Drain.model_validate({"whenBlocked": "Delete", "gracePeriod": "90s"})
    pods, budget = [pod("a"), pod("b")], pdb("web", 0)

    early = advance(patient(pods, budget, stepped_at=NOW - timedelta(minutes=4)), delete)
    late = advance(patient(pods, budget, stepped_at=NOW - timedelta(minutes=5)), delete)
    moving = advance(
        patient([*pods, pod("c", ending=True)], budget, stepped_at=NOW - timedelta(minutes=5)),
        delete,
    )

    assert isinstance(early, Await)
    assert isinstance(late, Proceed)
    assert late.effects == (
        DeletePod("shop", "a", "uid-a", 90),
        DeletePod("shop", "b", "uid-b", 90),
    )
    assert isinstance(moving, Await)


def test_no_pod_is_ever_deleted_without_a_grace_period() -> None:
    progress = advance(patient([pod("a")]), Drain(grace_period=timedelta(0)))

    assert isinstance(progress, Proceed)
    assert progress.effects == (Evict("shop", "a", "uid-a", 1),)


def test_that_nobody_is_left_is_only_believed_of_an_exact_list() -> None:
    nothing = replace(patient([]), read={ROUGH: {"items": []}})
    behind = replace(nothing, read={**nothing.read, EXACT: {"items": [pod("late")]}})

    assert reads(replace(nothing, read={}), Drain()) == (ROUGH,)
    assert reads(nothing, Drain()) == (ROUGH, EXACT)
    assert reads(behind, Drain()) == (ROUGH, EXACT, SHOP)


def test_budgets_are_read_of_namespaces_where_they_matter_and_of_no_other() -> None:
    elsewhere = pod("done", phase="Succeeded")
    elsewhere["metadata"]["namespace"] = "batch"
    rough = replace(patient([]), read={ROUGH: {"items": [pod("a"), elsewhere]}})

    assert reads(rough, Drain()) == (ROUGH, SHOP)


@pytest.mark.parametrize(
    "read",
    [
        pytest.param({ROUGH: None}, id="no list of pods"),
        pytest.param({ROUGH: {"items": [{"metadata": {}}]}}, id="a pod without a name"),
        pytest.param({ROUGH: {"items": [pod("a")]}, SHOP: None}, id="no list of budgets"),
    ],
)
def test_what_cannot_be_read_is_waited_for(read: Body) -> None:
    sick = replace(patient([]), read=read)

    assert all(path in read for path in reads(sick, Drain()))
    progress = advance(sick, Drain())

    assert isinstance(progress, Await)
    assert progress.reason == "PodsUnknown"


def test_the_preview_says_who_would_go_what_would_be_lost_and_who_forbids_it() -> None:
    pods = [
        pod("a"),
        pod("bare", owner="", app="other"),
        pod("scratch", scratch=True, app="other"),
        pod("agent", owner="DaemonSet"),
        pod("done", phase="Succeeded"),
    ]

    preview = previewed(patient(pods, pdb("web", 0)))

    assert preview.pods == 4
    assert preview.names == ("shop/done", "shop/a", "shop/bare", "shop/scratch")
    assert preview.staying == 1
    assert preview.forbidden_by == ("shop/web",)
    assert preview.local_data == ("shop/scratch",)
    assert preview.uncontrolled == ("shop/bare",)
    assert (preview.cpu, preview.memory) == ("750m", "192Mi")
    assert preview.nodes_available == 4
    assert preview.message.startswith("4 pods would have to go; at present PodDisruptionBudget")


def test_the_preview_says_who_would_find_no_room_elsewhere() -> None:
    rough = patient([pod("a"), pod("b"), pod("c"), pod("bare", owner="")])
    nodes = [node("open", "600m"), node("shut", "9", taint=True), node("lost", "9", ready="False")]
    there = {"items": [pod("old"), pod("done", phase="Failed")]}
    read = {**rough.read, capacity.path("worker-1"): {"items": nodes}, pods_of("open"): there}

    preview = previewed(replace(rough, read=read))

    assert capacity.reads("worker-1", read) == (capacity.path("worker-1"), pods_of("open"))
    assert (preview.nodes_looked_at, preview.free_cpu, preview.free_memory) == (1, "350m", "960Mi")
    assert preview.without_room == ("shop/b", "shop/c")
    assert (
        "of 1 other nodes that were looked at none has room for shop/b, shop/c" in preview.message
    )


def test_a_preview_of_what_cannot_be_read_says_so() -> None:
    preview = previewed(replace(patient([]), read={ROUGH: None}))

    assert preview.message.startswith("Nothing can be foreseen: the pods of worker-1 cannot be")
