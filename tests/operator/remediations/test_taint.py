"""Tainting, undoing it, and leaving alone the taints of others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_api import registry
from kernelhealth_api.procedure import PatchNode
from kernelhealth_api.remediation import TAINTED_BY, Remediation, Target
from kernelhealth_api.remediation import Taint as NodeTaint
from kernelhealth_operator import remediations
from kernelhealth_operator.remediations.taint import KEY, REMEDIATION, Effect, Taint

LOST = NodeTaint("node.kubernetes.io/unreachable", "", "NoExecute", "2026-01-01T00:00:00Z")
OURS = NodeTaint(KEY, "NetworkNamespaceLeaked", "NoSchedule")
TAINTS = st.lists(st.sampled_from([LOST, OURS]), unique=True).map(tuple)
TARGETS = st.builds(
    Target,
    st.just("worker-1"),
    st.just("7"),
    st.booleans(),
    st.none(),
    taints=TAINTS,
    tainted_by=st.sampled_from([None, "ours", "theirs"]),
    reason=st.just("NetworkNamespaceLeaked"),
)


def target(*taints: NodeTaint, owner: str | None = None) -> Target:
    reason = "NetworkNamespaceLeaked"
    return Target(
        "worker-1", "7", unschedulable=False, owner=None, taints=taints, tainted_by=owner,
        reason=reason,
    )  # fmt: skip


def body(owner: str | None, *taints: dict[str, str]) -> dict[str, Any]:
    metadata = {"resourceVersion": "7", "annotations": {TAINTED_BY: owner}}
    return {"metadata": metadata, "spec": {"taints": list(taints)}}


def wire(taint: NodeTaint) -> dict[str, str]:
    named = {
        "key": taint.key,
        "value": taint.value,
        "effect": taint.effect,
        "timeAdded": taint.time_added,
    }
    return {key: value for key, value in named.items() if value}


def after(before: Target, patch: PatchNode) -> Target:
    sent = patch.body.get("spec", {}).get("taints")
    kept = before.taints if sent is None else tuple(_taint(each) for each in sent)
    owner = patch.body["metadata"]["annotations"][TAINTED_BY]
    return target(*kept, owner=owner)


def _taint(sent: dict[str, str]) -> NodeTaint:
    value, added = sent.get("value", ""), sent.get("timeAdded", "")
    return NodeTaint(sent["key"], value, sent["effect"], added)


def test_the_registry_finds_it() -> None:
    assert REMEDIATION in registry.load(remediations, "REMEDIATION", Remediation)


def test_a_node_is_tainted_and_marked_in_one_patch_that_keeps_the_taints_of_others_whole() -> None:
    (patch,) = REMEDIATION.apply(target(LOST), "ours", Taint())

    assert patch == PatchNode("worker-1", "7", body("ours", wire(LOST), wire(OURS)))
    assert wire(LOST)["timeAdded"]


def test_the_effect_is_what_the_policy_says() -> None:
    (patch,) = REMEDIATION.apply(target(), "ours", Taint(effect=Effect.NO_EXECUTE))

    assert [each["effect"] for each in patch.body["spec"]["taints"]] == ["NoExecute"]


def test_a_node_that_somebody_else_tainted_so_is_left_as_it_is() -> None:
    theirs = target(OURS)

    assert list(REMEDIATION.apply(theirs, "ours", Taint())) == []
    assert REMEDIATION.done(theirs, "ours")
    assert not REMEDIATION.applied(theirs, "ours")
    assert list(REMEDIATION.revert(theirs, "ours")) == []


def test_our_taint_is_undone_with_its_mark_and_others_stay() -> None:
    (patch,) = REMEDIATION.revert(target(OURS, LOST, owner="ours"), "ours")

    assert patch == PatchNode("worker-1", "7", body(None, wire(LOST)))


def test_of_a_node_whose_taint_a_person_removed_only_the_mark_is_removed() -> None:
    removed = target(LOST, owner="ours")

    (patch,) = REMEDIATION.revert(removed, "ours")

    assert isinstance(patch, PatchNode)
    assert "spec" not in patch.body
    assert not REMEDIATION.done(removed, "ours")
    assert REMEDIATION.applied(removed, "ours")


@pytest.mark.parametrize("owner", [None, "theirs"])
def test_a_taint_of_somebody_else_is_never_removed(owner: str | None) -> None:
    assert list(REMEDIATION.revert(target(OURS, owner=owner), "ours")) == []


@given(TARGETS)
def test_applying_ends_after_one_step(before: Target) -> None:
    for patch in REMEDIATION.apply(before, "ours", Taint()):
        before = after(before, patch)

    assert REMEDIATION.done(before, "ours")
    assert list(REMEDIATION.apply(before, "ours", Taint())) == []


@given(TARGETS)
def test_reverting_ends_after_one_step_and_spares_others(before: Target) -> None:
    result = before
    for patch in REMEDIATION.revert(before, "ours"):
        assert isinstance(patch, PatchNode)
        result = after(result, patch)

    assert list(REMEDIATION.revert(result, "ours")) == []
    assert not REMEDIATION.applied(result, "ours")
    assert (LOST in result.taints) == (LOST in before.taints)
    assert (OURS in result.taints) == (OURS in before.taints and before.tainted_by != "ours")
