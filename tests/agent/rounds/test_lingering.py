"""Pods that have ended for the kernel and not yet for the kubelet: worth another look soon."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kernelhealth_agent import lingering
from kernelhealth_agent.kernel.namespaces import Inventory, Mount, Namespace, Pod
from kernelhealth_agent.lingering import Lingering

POD = Pod("shop", "cart-7", "uid-7", "cgroup")
REMEMBERED = Pod("shop", "cart-7", "uid-7", "memory")
MOUNT = (Mount(1, "/run/netns/cni-7"),)


@pytest.mark.parametrize(
    ("space", "pods", "expected"),
    [
        (Namespace(17, mounts=MOUNT, pod=POD), {"uid-7": POD}, {"uid-7"}),
        (Namespace(17, pids=(4711,), mounts=MOUNT, pod=POD), {"uid-7": POD}, set()),
        (Namespace(17, pids=(4711,), pod=REMEMBERED), {"uid-7": POD}, {"uid-7"}),
        (Namespace(17, mounts=MOUNT, pod=POD), {}, set()),
        (Namespace(17, mounts=MOUNT), {"uid-7": POD}, set()),
    ],
    ids=[
        "ended",
        "still running",
        "only somebody else in there",
        "gone for the kubelet too",
        "nobody's",
    ],
)
def test_only_a_pod_that_ended_and_that_the_kubelet_still_knows_lingers(
    space: Namespace, pods: dict[str, Pod], expected: set[str]
) -> None:
    taken = datetime(2026, 1, 1, tzinfo=UTC)

    inventory = Inventory("boot", taken, Namespace(1), {17: space}, frozenset(), (), pods, {})

    assert lingering.pods(inventory) == expected


def test_nothing_lingers_where_nothing_could_be_seen() -> None:
    assert not lingering.pods(None)


def test_nothing_that_lingers_asks_for_no_look() -> None:
    assert Lingering().due(100.0) is None
    assert Lingering().seen({"a"}, 100.0).seen((), 103.0).due(103.0) is None


def test_what_lingers_on_is_looked_at_ever_less() -> None:
    now, waiting, times = 100.0, Lingering(), list[float]()

    for _ in range(5):
        waiting = waiting.seen({"a"}, now)
        due = waiting.due(now)
        assert due is not None
        times.append(due)
        now = due

    assert times == [103.0, 106.0, 112.0, 124.0, 148.0]


def test_a_pod_that_begins_to_linger_is_looked_at_as_soon_as_the_first() -> None:
    waiting = Lingering().seen({"a"}, 100.0).seen({"a"}, 150.0)

    assert waiting.seen({"a", "b"}, 150.0).due(150.0) == 153.0


def test_that_others_are_gone_changes_nothing_for_the_rest() -> None:
    waiting = Lingering().seen({"a", "b"}, 100.0)

    assert waiting.seen({"b"}, 110.0).due(110.0) == 120.0
