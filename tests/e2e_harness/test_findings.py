from __future__ import annotations

from kernelhealth_e2e.demo.stage import about
from kernelhealth_e2e.observing import Object


def test_a_finding_about_a_pod_is_seen_behind_another_one_of_its_reason() -> None:
    health = reported("shop/cart-1", "shop/cart-2")

    assert about("NetworkNamespaceLeaked", "shop/cart-1")(health)
    assert about("NetworkNamespaceLeaked", "shop/cart-2")(health)
    assert not about("NetworkNamespaceLeaked", "shop/cart-3")(health)
    assert not about("ResidualPodLink", "shop/cart-1")(health)
    assert not about("NetworkNamespaceLeaked", "shop/cart-1")({})


def reported(*pods: str) -> Object:
    leaks = [{"reason": "NetworkNamespaceLeaked", "subject": {"pod": pod}} for pod in pods]
    return {"status": {"findings": leaks}}
