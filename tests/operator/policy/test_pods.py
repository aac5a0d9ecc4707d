"""Pods and PodDisruptionBudgets as they are listed."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_operator.policy import leaving, pdbs, pods
from kernelhealth_operator.policy.leaving import NotReadError
from kernelhealth_operator.policy.pdbs import Budget
from kernelhealth_operator.policy.pods import Pod

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["items", "metadata", "spec", "status", "name", "selector"]), inner
        )
    ),
    max_leaves=8,
)
NAME = {"namespace": "shop", "name": "a", "uid": "u"}


def listed(**parts: Any) -> Pod:
    (pod,) = pods.pods_of({"items": [{"metadata": NAME, **parts}]})
    return pod


def containers(*amounts: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": each, "resources": {"requests": {"cpu": each}}, **more} for each in amounts]


def budget(selector: dict[str, Any] | None) -> Budget:
    spec = {} if selector is None else {"selector": selector}
    (one,) = pdbs.budgets_of({"items": [{"metadata": NAME, "spec": spec}]})
    return one


@given(ANYTHING)
def test_any_body_is_a_list_or_is_said_to_be_unreadable(body: Any) -> None:
    path = pods.path("worker-1", exact=False)
    for read in ({path: {"items": body}}, {path: body if isinstance(body, dict) else None}):
        with contextlib.suppress(NotReadError):
            found = leaving.household("worker-1", read)
            result = leaving.cleared(found, {**read, pdbs.path("shop"): {"items": body}})
            assert len(result.free) + len(result.blocked) == len(found.waiting)


def test_lists_that_go_leaves_out_are_empty() -> None:
    assert pods.pods_of({"items": None}) == ()
    assert listed(spec={"volumes": None, "containers": None}, status={"conditions": None}).cpu == 0


def test_a_pod_without_a_ready_condition_is_not_ready() -> None:
    assert not listed(status={"phase": "Running"}).ready


def test_only_the_controller_among_the_owners_counts() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "a", "uid": "u"}

    assert not listed(metadata={**NAME, "ownerReferences": [owner]}).daemon
    assert listed(metadata={**NAME, "ownerReferences": [{**owner, "controller": True}]}).daemon


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": containers("1", "500m")}, 1500),
        ({"containers": containers("1"), "initContainers": containers("3", "2")}, 3000),
        (
            {
                "containers": containers("1"),
                "initContainers": [*containers("500m", restartPolicy="Always"), *containers("2")],
            },
            2500,
        ),
        ({"containers": containers("1"), "overhead": {"cpu": "250m"}}, 1250),
    ],
    ids=["all that run at once", "the most of what runs before", "a sidecar", "overhead"],
)
def test_what_a_pod_requests_is_what_a_scheduler_sets_aside(
    spec: dict[str, Any], expected: int
) -> None:
    assert listed(spec=spec).cpu == expected


@pytest.mark.parametrize(
    ("selector", "guarded"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_a_budget_guards_what_its_selector_selects(
    selector: dict[str, Any] | None,
    guarded: bool,  # noqa: FBT001
) -> None:
    pod = Pod("shop", "a", "u", {"app": "web"})

    assert budget(selector).guards(pod) == guarded
    assert not budget(selector).guards(Pod("other", "a", "u", {"app": "web"}))


def test_a_selector_longer_than_our_own_may_be_is_read_all_the_same() -> None:
    values = [str(number) for number in range(200)]

    one = budget({"matchExpressions": [{"key": "app", "operator": "In", "values": values}]})

    assert one.guards(Pod("shop", "a", "u", {"app": "199"}))


@given(st.integers(0, 4), st.lists(st.booleans(), max_size=8))
def test_no_more_healthy_pods_go_than_a_budget_allows(allows: int, ready: list[bool]) -> None:
    everybody = [Pod("shop", str(i), "u", {}, ready=each) for i, each in enumerate(ready)]
    whole = budget({})
    one = Budget("shop", "all", whole.selector, allows)

    found = pdbs.clear(everybody, [one])

    assert len(found.free) == min(allows, len(everybody))
    assert len(found.free) + len(found.blocked) == len(everybody)
