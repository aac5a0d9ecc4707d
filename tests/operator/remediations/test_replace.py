"""Handing a node over: asked once, followed up, given up in time, and taken back."""

from __future__ import annotations

from dataclasses import replace as changed
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernelhealth_api import registry
from kernelhealth_api.procedure import (
    Await,
    Create,
    Finished,
    GaveUp,
    Merge,
    PatchNode,
    PatchStatus,
    Patient,
    Proceed,
    Withdraw,
)
from kernelhealth_api.remediation import HANDED_OVER_BY, REQUESTED_BY, Remediation, Target
from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec
from kernelhealth_api.v1alpha1.noderemediation import RungState
from kernelhealth_operator import remediations
from kernelhealth_operator.remediations.replace import REMEDIATION, Replace

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
GROUP = "/apis/self-node-remediation.medik8s.io/v1alpha1"
PLACE = f"{GROUP}/namespaces/medik8s/selfnoderemediations/worker-1"
TEMPLATE = f"{GROUP}/namespaces/medik8s/selfnoderemediationtemplates/automatic"
NODE = "/api/v1/nodes/worker-1"
MACHINE = "/apis/cluster.x-k8s.io/v1beta2/namespaces/fleet/machines/m-1"
CLAIM = "/apis/karpenter.sh/v1/nodeclaims/pool-x"
REMEDIATE = "cluster.x-k8s.io/remediate-machine"
MEDIK8S = Replace.model_validate(
    {
        "template": {
            "apiVersion": "self-node-remediation.medik8s.io/v1alpha1",
            "kind": "SelfNodeRemediationTemplate",
            "name": "automatic",
            "namespace": "medik8s",
        }
    }
)
CLUSTER_API = Replace.model_validate({"via": "clusterAPI"})
KARPENTER = Replace.model_validate({"via": "karpenter", "condition": "KernelReady"})
OFFERED = {
    "resources": [
        {"name": "selfnoderemediations", "kind": "SelfNodeRemediation", "namespaced": True},
        {"name": "selfnoderemediations/status", "kind": "SelfNodeRemediation"},
        {"name": "selfnoderemediationtemplates", "kind": "SelfNodeRemediationTemplate"},
    ]
}
MADE_FROM = {"spec": {"template": {"spec": {"remediationStrategy": "ResourceDeletion"}}}}
PLACES = {"medik8s": PLACE, "clusterAPI": MACHINE, "karpenter": "KernelReady"}


def patient(read: dict[str, Any], mark: str = "", **given: Any) -> Patient:
    found = Finding(
        reason="NetworkNamespaceLeaked", severity=Severity.CRITICAL, message="m", since=NOW
    )
    rung = given.pop("rung", RungState(action="replace", state="Pending"))
    annotations = {HANDED_OVER_BY: mark} if mark else {}
    values: dict[str, Any] = {
        "now": NOW,
        "name": "worker-1",
        "uid": "uid-1",
        "resource_version": "7",
        "owner": "ours",
        "number": 0,
        "rung": rung,
        "policy": KernelHealthPolicySpec(),
        "annotations": annotations,
        "findings": (found,),
        "read": read,
    }
    return Patient(**(values | given))


def running(minutes: int, message: str = "") -> RungState:
    begun = NOW - timedelta(minutes=minutes)
    return RungState(action="replace", state="Running", started_at=begun, message=message)


def medik8s(found: dict[str, Any] | None = None) -> dict[str, Any]:
    return {GROUP: OFFERED, TEMPLATE: MADE_FROM, PLACE: found}


def remediation(*conditions: dict[str, str], owner: str = "ours", **metadata: Any) -> Any:
    annotations = {REQUESTED_BY: owner} if owner else {}
    return {
        "metadata": {"resourceVersion": "9", "annotations": annotations, **metadata},
        "status": {"conditions": list(conditions)},
    }


def cluster_api(machine: dict[str, Any] | None, **annotations: str) -> dict[str, Any]:
    named = {
        "cluster.x-k8s.io/machine": "m-1",
        "cluster.x-k8s.io/cluster-namespace": "fleet",
    }
    return {
        NODE: {"metadata": {"annotations": named | annotations}},
        "/apis/cluster.x-k8s.io": {
            "preferredVersion": {"groupVersion": "cluster.x-k8s.io/v1beta2"}
        },
        MACHINE: machine,
    }


def machine(*conditions: dict[str, str], **annotations: str) -> dict[str, Any]:
    metadata = {"name": "m-1", "namespace": "fleet", "resourceVersion": "3"}
    return {
        "metadata": metadata | {"annotations": annotations},
        "status": {"conditions": list(conditions)},
    }


def karpenter(*conditions: dict[str, str], **claim: Any) -> dict[str, Any]:
    owner = {"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "name": "pool-x"}
    return {
        NODE: {
            "metadata": {"ownerReferences": [owner]},
            "status": {"conditions": list(conditions)},
        },
        CLAIM: {"metadata": {"name": "pool-x", **claim}},
    }


def advance(one: Patient, settings: Replace = MEDIK8S) -> Any:
    procedure = REMEDIATION.procedure
    assert procedure is not None
    assert set(procedure.reads(one, settings)) <= set(one.read)
    return procedure.advance(one, settings)


def mark_in(step: Any) -> str:
    (patch,) = step.effects
    assert isinstance(patch, PatchNode)
    return str(patch.body["metadata"]["annotations"][HANDED_OVER_BY])


def test_the_registry_finds_it() -> None:
    assert REMEDIATION in registry.load(remediations, "REMEDIATION", Remediation)


@pytest.mark.parametrize(
    ("settings", "read", "via"),
    [
        (MEDIK8S, medik8s(), "medik8s"),
        (CLUSTER_API, cluster_api(machine()), "clusterAPI"),
        (KARPENTER, karpenter(), "karpenter"),
    ],
    ids=["medik8s", "clusterAPI", "karpenter"],
)
def test_the_node_is_marked_then_it_is_asked_then_marked_as_asked(
    settings: Replace, read: dict[str, Any], via: str
) -> None:
    first = advance(patient(read), settings)
    second = advance(patient(read, mark_in(first)), settings)

    assert mark_in(first) == f"ours asks {via} {PLACES[via]}"
    assert [type(each) for each in second.effects] == [
        {"medik8s": Create, "clusterAPI": Merge, "karpenter": PatchStatus}[via]
    ]


@pytest.mark.parametrize(
    ("settings", "read", "via"),
    [
        (MEDIK8S, medik8s(remediation()), "medik8s"),
        (CLUSTER_API, cluster_api(machine(**{REMEDIATE: "", REQUESTED_BY: "ours"})), "clusterAPI"),
        (
            KARPENTER,
            karpenter({"type": "KernelReady", "status": "False", "reason": "ReplacementRequested"}),
            "karpenter",
        ),
    ],
    ids=["medik8s", "clusterAPI", "karpenter"],
)
def test_after_a_crash_it_is_not_asked_twice(
    settings: Replace, read: dict[str, Any], via: str
) -> None:
    third = advance(patient(read, f"ours asks {via} {PLACES[via]}", rung=running(1)), settings)
    fourth = advance(patient(read, mark_in(third), rung=running(1)), settings)

    assert mark_in(third) == f"ours asked {via} {PLACES[via]}"
    assert isinstance(fourth, Await)
    assert fourth.reason == "HandedOver"
    assert fourth.retry_at == NOW + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("settings", "read", "via"),
    [
        (MEDIK8S, medik8s(), "medik8s"),
        (MEDIK8S, medik8s(remediation(deletionTimestamp="2026-01-01T00:00:00Z")), "medik8s"),
        (CLUSTER_API, cluster_api(machine()), "clusterAPI"),
        (
            KARPENTER,
            karpenter({"type": "KernelReady", "status": "True", "reason": "Fine"}),
            "karpenter",
        ),
    ],
    ids=["medik8s", "being deleted", "clusterAPI", "karpenter"],
)
def test_what_somebody_took_back_is_not_asked_again(
    settings: Replace, read: dict[str, Any], via: str
) -> None:
    step = advance(patient(read, f"ours asked {via} {PLACES[via]}", rung=running(1)), settings)

    assert isinstance(step, GaveUp)
    assert "is not asked for any more" in step.message


def test_the_remediation_is_what_a_node_health_check_makes_of_the_template() -> None:
    step = advance(patient(medik8s(), f"ours asks medik8s {PLACE}"))

    (create,) = step.effects
    assert create.path == PLACE.rpartition("/")[0]
    assert create.body["apiVersion"] == "self-node-remediation.medik8s.io/v1alpha1"
    assert create.body["kind"] == "SelfNodeRemediation"
    assert create.body["spec"] == {"remediationStrategy": "ResourceDeletion"}
    metadata = create.body["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("worker-1", "medik8s")
    assert metadata["annotations"]["remediation.medik8s.io/node-name"] == "worker-1"
    assert metadata["ownerReferences"][0]["uid"] == "uid-1"


@pytest.mark.parametrize(
    ("conditions", "progress", "words"),
    [
        ([("Succeeded", "True")], Finished, "succeeded: Done"),
        ([("Processing", "True")], Await, "is at work and says Done"),
        ([("Succeeded", "Unknown"), ("Processing", "True")], Await, "is at work"),
        ([("Disabled", "True")], Await, "is disabled"),
        ([("Succeeded", "True"), ("PermanentNodeDeletionExpected", "True")], Await, "for good"),
        ([], Await, "says nothing"),
    ],
)
def test_the_conditions_of_a_remediation_are_understood(
    conditions: list[tuple[str, str]],
    progress: type[Finished | Await],
    words: str,
) -> None:
    said = [{"type": kind, "status": status, "reason": "Done"} for kind, status in conditions]
    read = medik8s(remediation(*said))

    step = advance(patient(read, f"ours asked medik8s {PLACE}", rung=running(1)))

    assert isinstance(step, progress)
    assert words in step.message


def test_a_remediation_that_failed_is_stopped_and_taken_back_before_it_is_given_up() -> None:
    failed = {"type": "Succeeded", "status": "False", "message": "no such node"}
    mark = f"ours asked medik8s {PLACE}"

    step = advance(patient(medik8s(remediation(failed)), mark, rung=running(1)))
    after = advance(patient(medik8s(), mark, rung=running(2, step.message)))

    stop, back = step.effects
    assert isinstance(stop, Merge)
    timed_out = "remediation.medik8s.io/nhc-timed-out"
    assert stop.body["metadata"]["annotations"] == {timed_out: "2026-01-01T12:00:00Z"}
    assert stop.body["metadata"]["resourceVersion"] == "9"
    assert back == Withdraw(PLACE, "ours")
    assert isinstance(after, GaveUp)
    assert "no such node" in after.message


@pytest.mark.parametrize("owner", ["", "theirs"])
def test_a_remediation_of_somebody_else_is_left_alone(owner: str) -> None:
    step = advance(patient(medik8s(remediation(owner=owner))))

    assert isinstance(step, Await)
    assert step.reason == "OthersAtWork"


@pytest.mark.parametrize(
    ("settings", "read", "words"),
    [
        (MEDIK8S, {GROUP: None}, "is its operator installed?"),
        (MEDIK8S, {GROUP: {"resources": []}}, "is its operator installed?"),
        (MEDIK8S, {**medik8s(), TEMPLATE: None}, "there is no SelfNodeRemediationTemplate"),
        (CLUSTER_API, {NODE: {}, "/apis/cluster.x-k8s.io": None}, "did not make it"),
        (
            CLUSTER_API,
            {**cluster_api(None), "/apis/cluster.x-k8s.io": None},
            "Cluster API is not in this cluster",
        ),
        (CLUSTER_API, cluster_api(None), "is it managed from another one?"),
        (
            CLUSTER_API,
            cluster_api(machine(**{"cluster.x-k8s.io/skip-remediation": ""})),
            "nobody is to replace it",
        ),
        (KARPENTER, {NODE: {"metadata": {}}}, "Karpenter did not make it"),
        (KARPENTER, {**karpenter(), CLAIM: None}, "is not there"),
    ],
)
def test_where_nobody_can_replace_it_that_is_said_and_nothing_done(
    settings: Replace, read: dict[str, Any], words: str
) -> None:
    step = advance(patient(read), settings)

    assert isinstance(step, GaveUp)
    assert words in step.message


def test_a_node_that_is_handed_over_by_another_treatment_waits() -> None:
    step = advance(patient(medik8s(), f"theirs asked medik8s {PLACE}"))

    assert isinstance(step, Await)
    assert step.reason == "OthersAtWork"


@pytest.mark.parametrize(
    ("settings", "read"),
    [
        (
            CLUSTER_API,
            cluster_api(
                {"metadata": {**machine()["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
            ),
        ),
        (KARPENTER, karpenter(deletionTimestamp="2026-01-01T00:00:00Z")),
    ],
    ids=["clusterAPI", "karpenter"],
)
def test_a_node_that_is_leaving_is_waited_for(settings: Replace, read: dict[str, Any]) -> None:
    via = settings.via.value

    step = advance(patient(read, f"ours asked {via} {PLACES[via]}", rung=running(1)), settings)

    assert isinstance(step, Await)
    assert step.reason == "NodeLeaving"


def test_what_the_owner_of_the_machine_says_is_passed_on() -> None:
    said = {"type": "OwnerRemediated", "status": "False", "message": "waiting for quorum"}
    read = cluster_api(machine(said, **{REMEDIATE: "", REQUESTED_BY: "ours"}))

    step = advance(patient(read, f"ours asked clusterAPI {MACHINE}", rung=running(1)), CLUSTER_API)

    assert "waiting for quorum" in step.message


@pytest.mark.parametrize(
    ("settings", "read", "back"),
    [
        (CLUSTER_API, cluster_api(machine(**{REMEDIATE: "", REQUESTED_BY: "ours"})), Withdraw),
        (
            KARPENTER,
            karpenter({"type": "KernelReady", "status": "False", "reason": "ReplacementRequested"}),
            PatchStatus,
        ),
    ],
    ids=["clusterAPI", "karpenter"],
)
def test_what_comes_to_nothing_in_time_is_taken_back_and_given_up(
    settings: Replace, read: dict[str, Any], back: type
) -> None:
    via = settings.via.value
    late = patient(read, f"ours asked {via} {PLACES[via]}", rung=running(120))

    step = advance(late, settings)
    gone = {**read, **(cluster_api(machine()) if via == "clusterAPI" else karpenter())}
    after = advance(changed(late, read=gone, rung=running(121, step.message)), settings)

    assert isinstance(step, Proceed)
    assert [type(each) for each in step.effects] == [back]
    assert isinstance(after, GaveUp)
    assert "came to nothing within 2h" in after.message


def test_a_machine_that_somebody_else_marked_is_followed_but_never_unmarked() -> None:
    read = cluster_api(machine(**{REMEDIATE: ""}))

    step = advance(
        patient(read, f"ours asked clusterAPI {MACHINE}", rung=running(120)), CLUSTER_API
    )

    assert isinstance(step, GaveUp)


@pytest.mark.parametrize("via", ["medik8s", "clusterAPI", "karpenter"])
def test_at_the_end_all_is_taken_back_and_the_trace_removed_last(via: str) -> None:
    mark = f"ours asks {via} {PLACES[via]}"
    target = Target("worker-1", "7", False, None, annotations={HANDED_OVER_BY: mark})

    back, trace = REMEDIATION.revert(target, "ours")

    assert isinstance(back, PatchStatus if via == "karpenter" else Withdraw)
    assert isinstance(trace, PatchNode)
    assert trace.body["metadata"]["annotations"] == {HANDED_OVER_BY: None}
    assert REMEDIATION.applied(target, "ours")


@pytest.mark.parametrize("mark", ["", "theirs asked medik8s /x", "ours", "ours did medik8s /x"])
def test_the_trace_of_another_and_what_makes_no_sense_are_left_alone(mark: str) -> None:
    target = Target("worker-1", "7", False, None, annotations={HANDED_OVER_BY: mark})

    assert tuple(REMEDIATION.revert(target, "ours")) == ()
    assert not REMEDIATION.applied(target, "ours")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"template": {"kind": "SelfNodeRemediationTemplate"}},
        {"via": "karpenter"},
        {"via": "karpenter", "condition": "Ready"},
    ],
)
def test_parameters_that_do_not_say_enough_are_a_flaw_and_ask_nobody(given: dict[str, Any]) -> None:
    settings = Replace.model_validate(given)

    step = advance(patient({}), settings)

    assert isinstance(step, GaveUp)
    assert "needs" in step.message
    assert REMEDIATION.flaw(settings, KernelHealthPolicySpec()) == step.message
