"""Leaks of network namespaces made on this kernel, and their healthy look-alikes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from kernelhealth_agent import moments
from kernelhealth_agent.detectors import network_namespaces as detector
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel.namespaces import Inventory, Pod, Remembered
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import network_namespaces as source
from kernelhealth_api.detector import Observation, Severity
from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.named_namespace import named_namespace
from kernelhealth_e2e.faults.namespace import Sandbox, sandbox
from kernelhealth_e2e.faults.veth import await_gone, cut, veth

DEFAULTS = detector.NetworkNamespacesParams()
POD = Pod("shop", "cart-7", "8a7f0000-0000-4000-8000-000000000007", "cgroup")


@pytest.fixture
def observe(live: LiveHost, look: Callable[..., Inventory]) -> Callable[..., list[Observation]]:
    def observed(*memory: Remembered) -> list[Observation]:
        inventory = look({past.inode: past for past in memory})
        return list(
            detector.judge(source.collect(live, Occasion(inventory, moments.now())), DEFAULTS)
        )

    return observed


@pytest.fixture
def pod() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


def remembered(pod: Sandbox, nsid: int | None = None) -> Remembered:
    return Remembered(pod.inode, nsid, POD, "f" * 64, datetime.now(UTC))


def nsid_of(live: LiveHost, pod: Sandbox) -> int:
    (nsid,) = live.nsids([pod.file.lstrip("/")])
    assert nsid is not None
    return nsid


def about(observations: list[Observation], pod: Sandbox, nsid: int | None) -> list[Observation]:
    return [
        o
        for o in observations
        if o.subject.namespace == pod.inode or (nsid is not None and o.subject.nsid == nsid)
    ]


def test_a_socket_in_flight_is_found_inside_out(
    live: LiveHost, observe: Callable[..., list[Observation]], pod: Sandbox
) -> None:
    with veth(pod.pid, "192.0.2.7/24") as near, held_namespace.socket_in_flight(pod.file):
        nsid = nsid_of(live, pod)
        pod.stop()

        (found,) = about(observe(), pod, nsid)

    assert found.subject.interfaces == ("eth0", near)
    assert found.subject.addresses == ("192.0.2.7",)
    assert found.cause == "HeldByKernel"
    assert "of an unknown pod is still in the kernel" in found.message


def test_a_leak_is_seen_although_the_plugin_removed_the_interfaces(
    live: LiveHost, observe: Callable[..., list[Observation]], pod: Sandbox
) -> None:
    with veth(pod.pid) as near, held_namespace.socket_in_flight(pod.file):
        nsid = nsid_of(live, pod)
        cut(near)
        pod.stop()

        (found,) = about(observe(remembered(pod, nsid)), pod, nsid)

    assert found.subject.interfaces == ()
    assert found.subject.pod == "shop/cart-7"
    assert found.subject.pod_known_by == "memory"
    assert found.subject.namespace == pod.inode


def test_a_leak_is_over_when_its_holder_lets_go(
    live: LiveHost, observe: Callable[..., list[Observation]], pod: Sandbox
) -> None:
    with veth(pod.pid) as near:
        with held_namespace.socket_in_flight(pod.file):
            nsid = nsid_of(live, pod)
            pod.stop()
            assert about(observe(), pod, nsid)
        await_gone(near)

        assert not about(observe(), pod, nsid)


def test_a_socket_of_a_process_is_named(
    live: LiveHost, observe: Callable[..., list[Observation]], pod: Sandbox
) -> None:
    with veth(pod.pid), _held_by_child(pod) as child:
        nsid = nsid_of(live, pod)
        pod.stop()

        (found,) = about(observe(remembered(pod, nsid)), pod, nsid)

    assert found.cause == "HeldBySocket"
    assert found.subject.holder is not None
    assert f"[{child}]" in found.subject.holder
    assert found.cures == ("StopHolder",)


def test_a_living_process_may_keep_a_namespace_that_was_no_pods(
    live: LiveHost, observe: Callable[..., list[Observation]], pod: Sandbox
) -> None:
    with veth(pod.pid), _held_by_child(pod):
        nsid = nsid_of(live, pod)
        pod.stop()

        (found,) = about(observe(), pod, nsid)

    assert found.severity is Severity.INFO


@pytest.mark.parametrize(
    ("holder", "cause"), [("mount", "HeldByMount"), ("descriptor", "HeldByDescriptor")]
)
def test_what_still_reaches_the_namespace_of_a_gone_pod_is_named(
    holder: str, cause: str, observe: Callable[..., list[Observation]], pod: Sandbox
) -> None:
    with _held_by_child(pod, holder):
        pod.stop()

        (found,) = about(observe(remembered(pod)), pod, None)

    assert found.cause == cause
    assert found.message.startswith(f"Network namespace {pod.inode} of pod shop/cart-7 outlived")


def test_a_process_left_in_the_namespace_of_a_gone_pod_is_named(
    observe: Callable[..., list[Observation]], pod: Sandbox
) -> None:
    (found,) = about(observe(remembered(pod)), pod, None)

    assert found.cause == "HeldByProcess"
    assert f"[{pod.pid}]" in found.message


def test_a_pod_that_the_kubelet_still_has_is_no_leak(
    observe: Callable[..., list[Observation]], pod: Sandbox, kubelet: Path
) -> None:
    (kubelet / str(POD.uid)).mkdir()

    assert not about(observe(remembered(pod)), pod, None)


def test_nothing_is_claimed_of_gone_pods_where_pods_cannot_be_listed(
    observe: Callable[..., list[Observation]], pod: Sandbox, kubelet: Path
) -> None:
    kubelet.rmdir()

    assert not about(observe(remembered(pod)), pod, None)


def test_a_namespace_that_a_person_made_is_no_leak(
    live: LiveHost, observe: Callable[..., list[Observation]]
) -> None:
    with named_namespace(f"khtest{uuid4().hex[:8]}") as path:
        inode = Path(path).stat().st_ino
        assert not [o for o in observe() if o.subject.namespace == inode]
        assert live.inode(path.lstrip("/")) == inode


def test_a_thread_in_a_namespace_of_its_own_reaches_it(
    live: LiveHost, observe: Callable[..., list[Observation]], pod: Sandbox
) -> None:
    there, end = threading.Event(), threading.Event()

    def stay() -> None:
        with held_namespace.inside(pod.file):
            there.set()
            end.wait()

    thread = threading.Thread(target=stay)
    with veth(pod.pid):
        thread.start()
        try:
            assert there.wait(60)
            nsid = nsid_of(live, pod)
            pod.stop()
            assert not about(observe(), pod, nsid)
        finally:
            end.set()
            thread.join()


@contextlib.contextmanager
def _held_by_child(pod: Sandbox, holder: str = "socket") -> Iterator[int]:
    """Let another process than the agent's keep the namespace."""
    command = [sys.executable, "-m", "kernelhealth_e2e.faults.held_namespace", holder, str(pod.pid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"holding\n"
        yield child.pid
        child.communicate()
