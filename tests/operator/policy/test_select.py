"""Which policy governs a node."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kernelhealth_api.v1alpha1.selector import LabelSelector
from kernelhealth_operator.policy.select import select, selects

LABELS = {"pool": "batch", "zone": "a", "empty": ""}

SELECTORS: dict[str, tuple[Any, bool]] = {
    "an empty selector selects every node": ({}, True),
    "a label with the value": ({"matchLabels": {"pool": "batch"}}, True),
    "a label with another value": ({"matchLabels": {"pool": "web"}}, False),
    "a label that is missing": ({"matchLabels": {"gpu": ""}}, False),
    "In with the value": (("pool", "In", ["web", "batch"]), True),
    "In with other values": (("pool", "In", ["web"]), False),
    "In of a missing label": (("gpu", "In", ["yes"]), False),
    "NotIn with the value": (("pool", "NotIn", ["batch"]), False),
    "NotIn with other values": (("pool", "NotIn", ["web"]), True),
    "NotIn of a missing label holds": (("gpu", "NotIn", ["yes"]), True),
    "Exists of an empty label": (("empty", "Exists", []), True),
    "Exists of a missing label": (("gpu", "Exists", []), False),
    "DoesNotExist of a missing label": (("gpu", "DoesNotExist", []), True),
    "DoesNotExist of an empty label": (("empty", "DoesNotExist", []), False),
    "an operator of a later version selects nothing": (("pool", "Gt", ["1"]), False),
    "all parts must hold": (
        {
            "matchLabels": {"pool": "batch"},
            "matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}],
        },
        False,
    ),
}  # fmt: skip


def selector(given: Any) -> LabelSelector:
    if isinstance(given, tuple):
        key, operator, values = given
        given = {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}
    return LabelSelector.model_validate(given)


@pytest.mark.parametrize(("given", "expected"), SELECTORS.values(), ids=SELECTORS)
def test_selectors_mean_what_they_mean_in_kubernetes(given: Any, expected: bool) -> None:  # noqa: FBT001
    assert selects(selector(given), LABELS) is expected


def test_no_policy_governs_a_node_that_none_selects(build: Any) -> None:
    policy = build.policy(node_selector=selector({"matchLabels": {"pool": "web"}}))

    selection = select([policy], LABELS)

    assert (selection.policy, selection.losers) == (None, ())


def test_the_highest_priority_wins_then_the_older_then_the_name(build: Any) -> None:
    later = build.now + timedelta(days=1)
    ranked = [
        build.policy(name="z", priority=1, created=later),
        build.policy(name="y", priority=0),
        build.policy(name="a", priority=0, created=later),
        build.policy(name="b", priority=0, created=later),
    ]

    selection = select(reversed(ranked), LABELS)

    assert selection.policy == ranked[0]
    assert list(selection.losers) == ranked[1:]


def test_a_policy_with_mistakes_governs_all_the_same(build: Any) -> None:
    wrong = build.policy(name="wrong", priority=1, problems=("spec.rules[0]: wrong",))

    selection = select([build.policy(), wrong], LABELS)

    assert selection.policy == wrong
