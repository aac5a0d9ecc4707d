from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kernelhealth_agent.examination import Outcome
from kernelhealth_agent.reporters import pods


class Node(Protocol):
    has: Callable[..., None]
    look: Callable[..., Outcome]


def test_each_pod_has_its_own_findings_and_the_node_comes_last(node: Node) -> None:
    node.has(leaks="cart shop", traps="x")
    node.look()

    found = pods.by_pod(node.look(121).confirmed)

    assert list(found) == ["shop/cart", "shop/shop", pods.NODE]
    assert [seen.observation.reason.name for seen in found[pods.NODE]] == ["TrapSet"]


def test_programs_get_the_pods_with_null_for_the_node(node: Node) -> None:
    node.has(leaks="cart", traps="x")
    node.look()

    cart, rest = pods.wire(pods.by_pod(node.look(121).confirmed))

    assert cart["pod"] == "shop/cart"
    assert cart["findings"][0]["severity"] == "Warning"
    assert cart["findings"][0]["subject"] == {"pod": "shop/cart"}
    assert rest["pod"] is None


def test_what_only_is_suspected_is_in_no_view(node: Node) -> None:
    node.has(leaks="cart")

    assert pods.by_pod(node.look().confirmed) == {}
