"""A person's word: the patch that it becomes, and when there is nothing to be said."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from typing import Any

import pytest

from kernelhealth_api.v1alpha1.noderemediation import (
    Decision,
    NodeRemediationSpec,
    NodeRemediationStatus,
    Phase,
)
from kernelhealth_kubectl import complaints, names, patches
from kernelhealth_kubectl.complaints import EXIT_REFUSED, EXIT_UNUSABLE, ComplaintError
from kernelhealth_kubectl.patches import Patch
from kernelhealth_kubectl.verbs import treatments
from kernelhealth_kubectl.verbs.treatments import Said
from kernelhealth_operator.cluster import errors
from kernelhealth_operator.policy.situation import Treatment

NOW = datetime(2026, 1, 3, 12, tzinfo=UTC)
PATCH_FAILED = "the server rejected our request due to an error in our request"
LIST = "GET /apis/kernelhealth.io/v1alpha1/nodekernelhealths"


def treated(
    name: str = "worker-1-1",
    decision: Decision = Decision.PENDING,
    phase: Phase = Phase.PROPOSED,
    **status: Any,
) -> Treatment:
    spec = NodeRemediationSpec(
        node_name="worker-1",
        node_uid="uid",
        policy="workers",
        rule="leaking",
        reasons=("NetworkNamespaceLeaked",),
        plan=({"cordon": {}},),
        decision=decision,
    )
    return Treatment(name, "7", NOW, spec, NodeRemediationStatus(phase=phase, **status))


def test_the_command_that_is_printed_is_the_patch_that_would_be_sent() -> None:
    patch = patches.decide("worker-1-1", Decision.REJECTED, "ann: it's mine")

    words = shlex.split(patch.command(("--context=prod",)))

    assert words[:-1] == [
        "kubectl",
        "--context=prod",
        "patch",
        "noderemediation",
        "worker-1-1",
        "--type=merge",
        "-p",
    ]
    assert json.loads(words[-1]) == patch.body
    assert patch.body == {
        "spec": {"decision": "Rejected"},
        "metadata": {"annotations": {"kernelhealth.io/because": "ann: it's mine"}},
    }


def test_a_pause_is_added_to_those_of_others_and_a_first_one_only_if_there_is_none() -> None:
    further = patches.pause("workers", ("bob: tests",), "ann: racks")
    first = patches.pause("workers", (), "ann: racks")

    path = "/spec/pauseRequests"
    assert further.body == [{"op": "add", "path": f"{path}/-", "value": "ann: racks"}]
    assert first.body == [
        {"op": "test", "path": path, "value": None},
        {"op": "add", "path": path, "value": ["ann: racks"]},
    ]
    assert "--type=json" in first.command()


def test_a_pause_is_ended_only_if_nobody_else_has_paused_meanwhile() -> None:
    patch = patches.resume("workers", ("ann: racks", "bob: tests"), ("bob: tests",), "resumed")

    assert patch.body == [
        {"op": "test", "path": "/spec/pauseRequests", "value": ["ann: racks", "bob: tests"]},
        {"op": "replace", "path": "/spec/pauseRequests", "value": ["bob: tests"]},
    ]


def test_an_approval_without_a_reason_changes_the_decision_alone() -> None:
    assert patches.decide("one", Decision.APPROVED, None).body == {"spec": {"decision": "Approved"}}


def test_a_node_names_the_treatment_that_is_open_and_not_the_last() -> None:
    old = treated("worker-1-1", phase=Phase.SUCCEEDED, finished_at=NOW)
    new = treated("worker-1-2")

    assert treatments.meant("worker-1", {each.name: each for each in (old, new)}) is new


@pytest.mark.parametrize(
    ("one", "decision", "sentence"),
    [
        (
            treated(phase=Phase.SUCCEEDED, finished_at=NOW),
            Decision.APPROVED,
            "ended at 2026-01-03 12:00:00Z as Succeeded: nothing is left to decide",
        ),
        (
            treated(decision=Decision.CANCELLED),
            Decision.APPROVED,
            "was cancelled, which is final: should the findings stay, a new one follows",
        ),
        (
            treated(phase=Phase.RUNNING, started_at=NOW),
            Decision.REJECTED,
            "has begun already: kubectl kernelhealth cancel worker-1-1 ends it",
        ),
    ],
)
def test_what_cannot_be_decided_any_more_is_refused(
    one: Treatment, decision: Decision, sentence: str
) -> None:
    with pytest.raises(ComplaintError) as refused:
        treatments.worded(one, Said(one.name, decision))

    assert str(refused.value) == f"NodeRemediation worker-1-1 {sentence}"
    assert refused.value.code == EXIT_REFUSED


def test_what_was_said_already_is_not_said_again() -> None:
    one = treated(decision=Decision.APPROVED)

    said = treatments.worded(one, Said(one.name, Decision.APPROVED))

    assert said == "NodeRemediation worker-1-1 is approved already"


def test_one_that_runs_can_be_cancelled() -> None:
    one = treated(phase=Phase.RUNNING, started_at=NOW)

    said = treatments.worded(one, Said(one.name, Decision.CANCELLED))

    assert isinstance(said, Patch)
    assert said.body == {"spec": {"decision": "Cancelled"}}


def test_a_name_that_is_not_there_is_answered_with_those_like_it() -> None:
    with pytest.raises(ComplaintError) as refused:
        treatments.meant("wroker-1", {"worker-1-1": treated()})

    assert "did you mean worker-1" in str(refused.value)
    assert refused.value.code == EXIT_UNUSABLE


def test_a_name_like_no_other_is_answered_with_where_they_are_listed() -> None:
    refused = names.unknown("there is no node 'x'", "x", ["alpha"], "kubectl get nodes")

    assert str(refused) == (
        "there is no node 'x': there is none of a name like it; kubectl get nodes lists them"
    )


@pytest.mark.parametrize(
    ("error", "parts", "code"),
    [
        pytest.param(
            errors.Unreachable("GET /api", "connection refused"),
            ("https://cluster does not answer (connection refused)", "--context"),
            EXIT_UNUSABLE,
            id="nobody answers",
        ),
        pytest.param(
            errors.from_status("GET /api/v1/nodes", 403, 'User "ann" cannot list nodes'),
            ('User "ann" cannot list nodes', "kernelhealth-viewer"),
            EXIT_UNUSABLE,
            id="a right is missing",
        ),
        pytest.param(
            errors.from_answer(LIST, 404, b"404 page not found\n", None),
            ("does not serve nodekernelhealths", "kubectl apply -k manifests/base"),
            EXIT_UNUSABLE,
            id="the definitions are not installed",
        ),
        pytest.param(
            errors.from_status("GET /api", 401, "Unauthorized"),
            ("does not know you", "log in again"),
            EXIT_UNUSABLE,
            id="the token has expired",
        ),
        pytest.param(
            errors.from_status("PATCH /x", 409, "the object has been modified"),
            ("somebody else changed it", "say it again"),
            EXIT_REFUSED,
            id="somebody was faster",
        ),
        pytest.param(
            errors.from_status("PATCH /x", 422, PATCH_FAILED),
            ("somebody else changed it", "say it again"),
            EXIT_REFUSED,
            id="somebody paused it meanwhile",
        ),
        pytest.param(
            errors.from_status("PATCH /x", 422, "decision is final once it is Rejected"),
            ("refused: decision is final once it is Rejected",),
            EXIT_REFUSED,
            id="the API server refuses it",
        ),
        pytest.param(
            errors.AccessUnusable("The kubeconfig /x cannot be used: no such file."),
            ("The kubeconfig /x cannot be used: no such file; name one with --kubeconfig",),
            EXIT_UNUSABLE,
            id="there is no kubeconfig",
        ),
    ],
)
def test_what_went_wrong_is_a_sentence_that_says_what_to_do(
    error: errors.ApiError | errors.AccessUnusable, parts: tuple[str, ...], code: int
) -> None:
    complaint = complaints.about(error, "https://cluster")

    assert all(part in str(complaint) for part in parts), str(complaint)
    assert complaint.code == code
