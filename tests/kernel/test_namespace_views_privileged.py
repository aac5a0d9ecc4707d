"""What this kernel shows of namespaces that nothing leads to, view by view."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from kernelhealth_agent import errors, keepers, moments
from kernelhealth_agent.detectors import network_namespaces as detector
from kernelhealth_agent.hosts import nsfs
from kernelhealth_agent.hosts.in_flight import InFlight
from kernelhealth_agent.hosts.inside import InsideByDevice
from kernelhealth_agent.hosts.listed_namespaces import ListedNamespaces
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import in_flight, inside
from kernelhealth_agent.kernel.inside import Inside
from kernelhealth_agent.kernel.namespaces import Inventory, Pod, Remembered
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import network_namespaces as source
from kernelhealth_api.detector import Observation
from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import Sandbox, sandbox
from kernelhealth_e2e.faults.veth import await_gone, veth

POD = Pod("shop", "cart-7", "8a7f0000-0000-4000-8000-000000000007", "cgroup")


@pytest.fixture
def pod() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


@pytest.fixture
def lost(live: LiveHost, pod: Sandbox) -> Iterator[int]:
    """A namespace that a socket in flight keeps and that only its id leads to."""
    with veth(pod.pid, "192.0.2.7/24"), held_namespace.socket_in_flight(pod.file):
        (nsid,) = live.nsids([pod.file.lstrip("/")])
        pod.stop()
        assert nsid is not None
        yield nsid


def observed(live: LiveHost, inventory: Inventory, nsid: int, *, by_device: bool) -> Observation:
    sample = source.collect(live, Occasion(inventory, moments.now()), by_device=by_device)
    found = detector.judge(sample, detector.NetworkNamespacesParams())
    (one,) = [o for o in found if o.subject.nsid == nsid]
    return one


def opened(live: LiveHost, nsid: int) -> Inside:
    return inside.inside(live.probe(InsideByDevice(nsid)), inside.name(nsid))


@pytest.fixture
def tun() -> None:
    """The driver by which a namespace is opened: whoever opens its device has it loaded."""
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"this machine has no tun devices: {error.strerror}")


def devices() -> set[str]:
    with IPRoute() as netlink:
        return {str(link.get_attr("IFLA_IFNAME")) for link in netlink.get_links()}


@pytest.mark.usefixtures("tun")
def test_a_namespace_is_opened_by_its_id_and_let_go_again(
    live: LiveHost, pod: Sandbox, lost: int
) -> None:
    found = opened(live, lost)

    assert found.inode == pod.inode
    assert found.sockets == 1
    assert found.identifier == found.cookie
    assert found.uses_gssproxy is None
    assert not [name for name in devices() if name.startswith(f"kh{os.getpid():x}n")]
    assert not [fd for fd in Path("/proc/self/fd").iterdir() if _leads_to(fd, pod.inode)]


@pytest.mark.usefixtures("tun")
def test_a_namespace_that_was_opened_goes_when_its_holder_does(
    live: LiveHost, pod: Sandbox, look: Callable[..., Inventory]
) -> None:
    with veth(pod.pid) as near:
        with held_namespace.socket_in_flight(pod.file):
            (nsid,) = live.nsids([pod.file.lstrip("/")])
            pod.stop()
            assert nsid is not None
            assert opened(live, nsid).inode == pod.inode
        await_gone(near)

        assert nsid not in look().unreachable


@pytest.mark.usefixtures("tun")
def test_an_id_that_is_none_cannot_be_opened(live: LiveHost) -> None:
    with pytest.raises(errors.HostError):
        opened(live, 1 << 20)

    assert not [name for name in devices() if name.startswith(f"kh{os.getpid():x}n")]


@pytest.mark.usefixtures("tun")
def test_a_finding_has_the_inode_number_and_the_sockets_only_when_it_may_open_it(
    live: LiveHost, look: Callable[..., Inventory], pod: Sandbox, lost: int
) -> None:
    inventory = look()

    by_id = observed(live, inventory, lost, by_device=False)
    by_device = observed(live, inventory, lost, by_device=True)

    assert by_device.subject.namespace == pod.inode
    assert "with 1 open socket inside" in by_device.message
    assert "open socket" not in by_id.message


def test_who_has_a_descriptor_in_flight_is_told_and_nobody_else(
    live: LiveHost, look: Callable[..., Inventory], lost: int
) -> None:
    assert lost >= 0
    mine = [q for q in in_flight.queues(live.probe(InFlight()), "x") if q.pid == os.getpid()]

    assert [q.waiting for q in mine] == [1]
    assert f"[{os.getpid()}]" in "".join(held.process for held in keepers.in_transit(live, look()))


def test_a_leak_names_who_may_have_its_socket_in_flight(
    live: LiveHost, look: Callable[..., Inventory], lost: int
) -> None:
    found = observed(live, look(), lost, by_device=False)

    assert found.cause == "HeldByKernel"
    assert found.subject.holder is not None
    assert found.subject.holder.startswith("perhaps a socket in flight to ")
    assert f"[{os.getpid()}]" in found.message


def test_a_leak_says_since_when_and_how_the_pod_is_known(
    live: LiveHost, look: Callable[..., Inventory], pod: Sandbox, lost: int
) -> None:
    seen = datetime(2026, 1, 1, 12, tzinfo=UTC)
    inventory = look({pod.inode: Remembered(pod.inode, lost, POD, "f" * 64, seen)})

    found = observed(live, inventory, lost, by_device=False)

    assert found.began == seen
    assert "of pod shop/cart-7 is still in the kernel since 2026-01-01 12:00 UTC" in found.message
    assert "(pod known from memory)" in found.message
    assert "KiB of kernel memory" in found.message


def test_ids_of_namespaces_are_the_kernels_cookies(live: LiveHost, pod: Sandbox) -> None:
    descriptor = nsfs.opened(pod.file)
    try:
        identifier = nsfs.identifier(descriptor)
    finally:
        os.close(descriptor)

    assert identifier in {None, live.cookie(pod.file.lstrip("/"))}


def test_the_kernels_listing_has_every_namespace_that_is_reached(
    live: LiveHost, look: Callable[..., Inventory], pod: Sandbox
) -> None:
    inventory = dataclasses.replace(look(), thorough=True)
    assert pod.inode in inventory.namespaces

    found = keepers.in_use(live, inventory)

    if found is None:  # Before Linux 6.19 nothing is claimed.
        with pytest.raises(errors.AbsentError, match="listns"):
            live.probe(ListedNamespaces(()))
    else:
        assert found.active > len(found.unseen)


def _leads_to(descriptor: Path, inode: int) -> bool:
    with contextlib.suppress(OSError):
        return str(descriptor.readlink()) == f"net:[{inode}]"
    return False
