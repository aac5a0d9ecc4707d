"""What is said of whoever keeps a namespace, for each combination of what is known of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent.detectors import network_namespaces as detector
from kernelhealth_agent.kernel.in_flight import InTransit
from kernelhealth_agent.kernel.inside import Inside
from kernelhealth_agent.kernel.leaks import (
    Hidden,
    Kept,
    NetworkNamespaces,
    Pin,
    Unreachable,
)
from kernelhealth_agent.kernel.namespace_answers import Listed, Socket
from kernelhealth_agent.kernel.namespaces import Namespace, Pod, Remembered
from kernelhealth_api.detector import Observation

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
POD = Pod("shop", "cart-2", "8a7f0000-0000-4000-8000-000000000002", "address")
PAST = Remembered(4026532999, 1, POD, "2" * 64, NOW)
SOCKET = Socket("resolver[17]", 4, 4026532999)
NFS = Pin(4026532999, "NFS client of server 192.0.2.5", "nfs", 2)
TRANSIT = (InTransit("broker[2]", 7, 1),)


def judged(*lost: Unreachable, **known: Any) -> list[Observation]:
    sample = NetworkNamespaces(0, 0, None, unreachable=lost, **known)
    return list(detector.judge(sample, detector.NetworkNamespacesParams()))


@pytest.mark.parametrize(
    ("lost", "cause", "said"),
    [
        (Unreachable(1, socket=SOCKET, pin=NFS), "HeldBySocket", "stop that process, no reboot"),
        (Unreachable(1, pin=NFS), "NfsPin", "without a reboot"),
        (Unreachable(1, opened=Inside(7, uses_gssproxy=True)), "GssProxyPin", "unload auth_rpcgss"),
        (Unreachable(1, listed=Listed(7, 0)), "TeardownPending", "its teardown is stuck"),
        (Unreachable(1, listed=Listed(7, 2)), "HeldByKernel", "counts 2 references"),
        (Unreachable(1), "HeldByKernel", "only a reboot frees it"),
    ],
)
def test_the_surest_knowledge_explains_a_leak(lost: Unreachable, cause: str, said: str) -> None:
    (found,) = judged(lost)

    assert found.cause == cause
    assert said in found.message


def test_where_the_kernels_list_has_not_what_its_ids_have_the_finding_says_so() -> None:
    listed = (Listed(1, 5), Listed(8, 1, nsid=0))

    (found,) = judged(Unreachable(1), listed=listed)
    (untold,) = judged(Unreachable(1), listed=(Listed(1, 5), Listed(8, 1)))

    assert "the kernel's own list does not have it" in found.message
    assert "own list" not in untold.message


def test_the_cost_of_all_is_told_with_that_of_each() -> None:
    found = judged(*(Unreachable(nsid) for nsid in range(20)))

    assert "about 203 KiB of kernel memory (4.0 MiB for all 20)" in found[0].message


def test_a_pod_that_is_known_by_its_address_is_told_so() -> None:
    (found,) = judged(Unreachable(1, pod=POD, addresses=("10.244.0.2",)))

    assert "of pod shop/cart-2 is still in the kernel" in found.message
    assert "(pod known by its address)" in found.message
    assert found.began is None


unreachable = st.builds(
    Unreachable,
    nsid=st.integers(0, 9),
    addresses=st.sampled_from([(), ("10.244.0.2",)]),
    outside=st.sampled_from([(), ("veth1",)]),
    past=st.sampled_from([None, PAST]),
    pod=st.sampled_from([None, POD]),
    socket=st.sampled_from([None, SOCKET]),
    pin=st.sampled_from([None, NFS, Pin(7, "RPC client of x", "rpc")]),
    listed=st.sampled_from([None, Listed(7, 0), Listed(7, 1, nsid=3)]),
    opened=st.sampled_from([None, Inside(7), Inside(7, uses_gssproxy=True, sockets=3)]),
)


@given(
    st.lists(unreachable, max_size=4, unique_by=lambda lost: lost.nsid),
    st.sampled_from([(), TRANSIT]),
    st.sampled_from([(), (NFS,)]),
    st.sampled_from([None, (Listed(1, 5), Listed(8, 1, nsid=0))]),
    st.sampled_from(["process", "mount", "descriptor"]),
)
def test_every_leak_is_one_sentence_that_says_who_and_what_to_do(
    lost: list[Unreachable],
    transit: tuple[InTransit, ...],
    stray: tuple[Pin, ...],
    listed: tuple[Listed, ...] | None,
    how: str,
) -> None:
    kept = (Kept(Namespace(9), POD, f"{how} x", how),)
    hidden = (Hidden(Listed(11, 1), PAST), Hidden(Listed(12, 1), PAST, SOCKET))

    found = judged(*lost, transit=transit, stray=stray, listed=listed, kept=kept, hidden=hidden)

    assert len(found) == len(lost) + 3
    for observation in found:
        assert observation.message.endswith(".")
        assert ". " not in observation.message
        assert len(observation.message) < 900
        assert observation.subject.holder
        assert observation.cures
        assert "reboot" in observation.message or "stop that process" in observation.message
