"""Cordoning, undoing it, and leaving alone what is not ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_api import registry
from kernelhealth_api.procedure import PatchNode
from kernelhealth_api.remediation import CORDONED_BY, Remediation, Target
from kernelhealth_operator import remediations
from kernelhealth_operator.remediations.cordon import REMEDIATION, Cordon

OWNERS = st.sampled_from([None, "ours", "theirs"])
TARGETS = st.builds(Target, st.just("worker-1"), st.just("7"), st.booleans(), OWNERS)


def target(*, unschedulable: bool, owner: str | None) -> Target:
    return Target("worker-1", "7", unschedulable, owner)


def body(owner: str | None, **spec: Any) -> dict[str, Any]:
    metadata = {"resourceVersion": "7", "annotations": {CORDONED_BY: owner}}
    return {"metadata": metadata} | ({"spec": spec} if spec else {})


def after(before: Target, patch: PatchNode) -> Target:
    spec = patch.body.get("spec", {"unschedulable": before.unschedulable})
    owner = patch.body["metadata"]["annotations"][CORDONED_BY]
    return Target(before.name, "8", bool(spec["unschedulable"]), owner)


def test_the_registry_finds_it() -> None:
    assert REMEDIATION in registry.load(remediations, "REMEDIATION", Remediation)


def test_a_schedulable_node_is_cordoned_and_marked_in_one_patch() -> None:
    (patch,) = REMEDIATION.apply(target(unschedulable=False, owner=None), "ours", Cordon())

    assert patch == PatchNode("worker-1", "7", body("ours", unschedulable=True), owned=True)


def test_a_node_that_is_cordoned_already_is_left_as_it_is() -> None:
    theirs = target(unschedulable=True, owner=None)

    assert list(REMEDIATION.apply(theirs, "ours", Cordon())) == []
    assert REMEDIATION.done(theirs, "ours")
    assert not REMEDIATION.applied(theirs, "ours")


def test_our_cordon_is_undone_with_its_mark_in_one_patch() -> None:
    (patch,) = REMEDIATION.revert(target(unschedulable=True, owner="ours"), "ours")

    assert patch == PatchNode("worker-1", "7", body(None, unschedulable=None))


def test_of_a_node_that_a_person_uncordoned_only_the_mark_is_removed() -> None:
    (patch,) = REMEDIATION.revert(target(unschedulable=False, owner="ours"), "ours")

    assert patch == PatchNode("worker-1", "7", body(None))


def test_of_a_node_that_a_person_cordoned_anew_only_the_mark_is_removed() -> None:
    anew = replace(target(unschedulable=True, owner="ours"), taken_over=True)

    (patch,) = REMEDIATION.revert(anew, "ours")

    assert patch == PatchNode("worker-1", "7", body(None))
    assert not REMEDIATION.done(anew, "ours")
    assert REMEDIATION.done(replace(anew, owner=None), "ours")


@pytest.mark.parametrize("owner", [None, "theirs"])
def test_a_cordon_of_somebody_else_is_never_undone(owner: str | None) -> None:
    assert list(REMEDIATION.revert(target(unschedulable=True, owner=owner), "ours")) == []


@given(TARGETS)
def test_applying_ends_after_one_step(before: Target) -> None:
    for patch in REMEDIATION.apply(before, "ours", Cordon()):
        before = after(before, patch)

    assert REMEDIATION.done(before, "ours")
    assert list(REMEDIATION.apply(before, "ours", Cordon())) == []


@given(TARGETS)
def test_reverting_ends_after_one_step_and_spares_others(before: Target) -> None:
    result = before
    for patch in REMEDIATION.revert(before, "ours"):
        assert isinstance(patch, PatchNode)
        result = after(result, patch)

    assert list(REMEDIATION.revert(result, "ours")) == []
    assert not REMEDIATION.applied(result, "ours")
    assert result.unschedulable == (before.unschedulable and before.owner != "ours")
