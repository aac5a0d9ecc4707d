"""Pods that have ended for the kernel and not yet for the kubelet: worth another look soon."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kernelhealth_agent.kernel.namespaces import Inventory, Mount, Namespace, Pod
from kernelhealth_agent.patrol import lingers

POD = Pod("shop", "cart-7", "uid-7", "cgroup")
MOUNT = (Mount(1, "/run/netns/cni-7"),)


@pytest.mark.parametrize(
    ("space", "pods", "expected"),
    [
        (Namespace(17, mounts=MOUNT, pod=POD), {"uid-7": POD}, True),
        (Namespace(17, pids=(4711,), mounts=MOUNT, pod=POD), {"uid-7": POD}, False),
        (Namespace(17, mounts=MOUNT, pod=POD), {}, False),
        (Namespace(17, mounts=MOUNT), {"uid-7": POD}, False),
    ],
    ids=["ended", "still running", "gone for the kubelet too", "nobody's"],
)
def test_only_a_pod_that_ended_and_that_the_kubelet_still_knows_lingers(
    space: Namespace, pods: dict[str, Pod], *, expected: bool
) -> None:
    taken = datetime(2026, 1, 1, tzinfo=UTC)

    inventory = Inventory("boot", taken, Namespace(1), {17: space}, frozenset(), (), pods, {})

    assert lingers(inventory) is expected


def test_nothing_lingers_where_nothing_could_be_seen() -> None:
    assert not lingers(None)
