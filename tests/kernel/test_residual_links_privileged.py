"""Leftovers of pods made on this kernel, and what looks like them and is healthy."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pyroute2 import IPRoute

from kernelhealth_agent import moments
from kernelhealth_agent.detectors import residual_links as detector
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import residual_links as source
from kernelhealth_api.detector import Observation, Severity
from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.abandoned_veth import abandoned_veth, link_name
from kernelhealth_e2e.faults.dangling_file import dangling_file
from kernelhealth_e2e.faults.named_namespace import named_namespace
from kernelhealth_e2e.faults.namespace import Sandbox, sandbox
from kernelhealth_e2e.faults.pod_rules import pod_rules
from kernelhealth_e2e.faults.stale_lease import Attached, stale_lease
from kernelhealth_e2e.faults.veth import cut, veth

DEFAULTS = detector.ResidualLinksParams()
LIVING = "a" * 64
POD_OF_AWS = {"k8sPodNamespace": "shop", "k8sPodName": "cart-7"}
UID = "8a7f0000-0000-4000-8000-000000000007"
Observe = Callable[[], list[Observation]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """This machine with files of its own: a runtime that runs one container, no CNI state."""
    made = tmp_path / "root"
    for name in ("proc", "sys"):
        made.mkdir(exist_ok=True)
        (made / name).symlink_to(f"/{name}")
    (made / "run/containerd/io.containerd.runtime.v2.task/k8s.io" / LIVING).mkdir(parents=True)
    return made


@pytest.fixture
def observe(root: Path, look: Callable[..., Inventory]) -> Observe:
    def observed() -> list[Observation]:
        return list(
            detector.judge(
                source.collect(LiveHost(str(root)), Occasion(look(), moments.now())), DEFAULTS
            )
        )

    return observed


@pytest.fixture
def pod() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


def fresh(prefix: str = "cali") -> str:
    """Return the name of a link of a pod that there never was."""
    return link_name("test", uuid4().hex, prefix)


def of_link(observations: list[Observation], name: str) -> list[Observation]:
    return [o for o in observations if name in o.subject.interfaces]


def with_address(observations: list[Observation], address: str) -> list[Observation]:
    return [o for o in observations if address in o.subject.addresses]


def test_a_link_into_a_namespace_that_a_forgotten_mount_holds_is_found(observe: Observe) -> None:
    with abandoned_veth(fresh("eni")) as name:
        (found,) = of_link(observe(), name)

    assert found.reason is detector.LINK
    assert found.cause == "HeldByMount"
    assert found.cures == ("UnmountNamespace", "DeleteResidualLink")
    assert "the AWS VPC CNI" in found.message


def test_a_link_with_both_ends_in_the_host_is_found_by_its_name(observe: Observe) -> None:
    with abandoned_veth(fresh(), "host") as name:
        (found,) = of_link(observe(), name)

    assert found.cause == "CniDelMissed"
    assert found.cures == ("DeleteResidualLink",)


def test_a_link_with_a_random_name_is_found_by_the_cni_result(root: Path, observe: Observe) -> None:
    attached = Attached(link=f"veth{uuid4().hex[:8]}")

    with abandoned_veth(attached.link, "host"), stale_lease(root, attached):
        (found,) = of_link(observe(), attached.link)

    assert found.subject.pod == "shop/cart-7"
    assert found.subject.pod_known_by == "cniCache"
    assert found.subject.container == attached.sandbox


def test_a_link_into_a_leaked_namespace_is_found_with_its_route(
    observe: Observe, pod: Sandbox
) -> None:
    with veth(pod.pid, "192.0.2.7/24", fresh()) as name:
        with IPRoute() as netlink:
            (index,) = netlink.link_lookup(ifname=name)
            netlink.link("set", index=index, state="up")
            netlink.route("add", dst="192.0.2.77/32", oif=index, scope=253)
        with held_namespace.socket_in_flight(pod.file):
            pod.stop()
            (found,) = of_link(observe(), name)

    assert found.subject.addresses == ("192.0.2.77",)
    assert found.subject.nsid is not None
    assert found.subject.holder == "kernel"
    assert found.severity is None


def test_a_link_of_unknown_origin_into_a_leaked_namespace_is_only_noted(
    observe: Observe, pod: Sandbox
) -> None:
    with veth(pod.pid) as name, held_namespace.socket_in_flight(pod.file):
        pod.stop()
        (found,) = of_link(observe(), name)

    assert found.severity is Severity.INFO


def test_the_link_of_a_pod_that_runs_is_healthy(observe: Observe, pod: Sandbox) -> None:
    with veth(pod.pid, "192.0.2.7/24", fresh()) as name:
        assert not of_link(observe(), name)


def test_a_link_of_a_runtime_whose_sandbox_lives_without_a_process_is_healthy(
    root: Path, observe: Observe
) -> None:
    with _held_as_sandbox(LIVING) as (attached, _), stale_lease(root, attached):
        assert not of_link(observe(), attached.link)


@pytest.mark.parametrize("peer", ["host", "netns"])
def test_a_veth_that_a_person_made_is_nobodys_leftover(peer: str, observe: Observe) -> None:
    name, space = f"veth{uuid4().hex[:8]}", f"khtest{uuid4().hex[:8]}"
    with named_namespace(space):
        try:
            with IPRoute() as netlink:
                far = {"ifname": f"x{name}"}
                if peer == "netns":
                    far["net_ns_fd"] = space
                netlink.link("add", ifname=name, kind="veth", peer=far)
            assert not of_link(observe(), name)
        finally:
            cut(name)


def test_other_kinds_of_links_are_nobodys_leftover(observe: Observe) -> None:
    name = fresh()
    with IPRoute() as netlink:
        netlink.link("add", ifname=name, kind="bridge")
    try:
        assert not of_link(observe(), name)
    finally:
        cut(name)


def test_a_lease_of_a_sandbox_that_is_gone_is_found(root: Path, observe: Observe) -> None:
    attached = Attached(address="192.0.2.99")

    with stale_lease(root, attached):
        (found,) = with_address(observe(), "192.0.2.99")

    assert found.reason is detector.ADDRESS
    assert found.key == attached.sandbox
    assert found.subject.file == "/var/lib/cni/networks/kernelhealth-fault/192.0.2.99"
    assert found.subject.pod == "shop/cart-7"
    assert found.cures == ("ReleaseAddress",)


def test_a_lease_without_a_cni_result_is_found_when_no_interface_has_its_address(
    root: Path, observe: Observe
) -> None:
    with stale_lease(root, Attached(address="192.0.2.99"), result=False):
        assert with_address(observe(), "192.0.2.99")


def test_a_lease_whose_address_some_namespace_uses_is_another_runtimes(
    root: Path, observe: Observe, pod: Sandbox
) -> None:
    lease = stale_lease(root, Attached(address="192.0.2.99"), result=False)

    with lease, veth(pod.pid, "192.0.2.99/24"):
        assert not with_address(observe(), "192.0.2.99")


def test_an_allocation_of_the_aws_plugin_for_a_gone_sandbox_is_found_and_a_living_ones_is_not(
    root: Path, observe: Observe
) -> None:
    gone = {"containerID": "b" * 64, "ipv4": "192.0.2.97", "metadata": POD_OF_AWS}
    alive = {"containerID": LIVING, "ipv4": "192.0.2.98", "metadata": POD_OF_AWS}
    state = root / "run/aws-node/ipam.json"
    state.parent.mkdir()
    state.write_text(json.dumps({"allocations": [gone, alive]}))

    found = observe()

    (dead,) = with_address(found, "192.0.2.97")
    assert dead.subject.file == "/run/aws-node/ipam.json"
    assert dead.cures == ()
    assert not with_address(found, "192.0.2.98")


def test_a_lease_of_a_sandbox_that_lives_is_healthy(root: Path, observe: Observe) -> None:
    with stale_lease(root, Attached(address="192.0.2.99", sandbox=LIVING)):
        assert not with_address(observe(), "192.0.2.99")


def test_a_result_whose_namespace_has_processes_is_another_runtimes(
    root: Path, observe: Observe
) -> None:
    with _held_as_sandbox("b" * 64, running=True) as (attached, _), stale_lease(root, attached):
        assert not [o for o in observe() if o.key == attached.sandbox]


def test_nothing_is_claimed_where_no_runtime_lists_its_containers(
    root: Path, observe: Observe
) -> None:
    (root / "run/containerd/io.containerd.runtime.v2.task/k8s.io" / LIVING).rmdir()
    (root / "run/containerd/io.containerd.runtime.v2.task/k8s.io").rmdir()
    (root / "sys").unlink()

    with abandoned_veth(fresh()) as name, stale_lease(root, Attached(address="192.0.2.99")):
        found = observe()

    assert not of_link(found, name)
    assert not with_address(found, "192.0.2.99")


def test_rules_of_a_pods_address_that_nobody_has_are_found_as_one(observe: Observe) -> None:
    with pod_rules() as address:
        (found,) = with_address(observe(), address)

    assert found.subject.rule == f"512: from all to {address} lookup main"
    assert f"rule 1536: from {address} lookup 1007" in found.message


def test_rules_of_an_address_in_use_and_rules_of_other_forms_are_healthy(
    observe: Observe, pod: Sandbox
) -> None:
    with pod_rules() as used, veth(pod.pid, f"{used}/24"), pod_rules(900, 901) as of_other_form:
        found = observe()

    assert not with_address(found, used)
    assert not with_address(found, of_other_form)


def test_an_ordinary_file_among_the_namespaces_is_found_and_a_namespace_is_not(
    root: Path, observe: Observe, pod: Sandbox
) -> None:
    directory = root / "run/netns"
    directory.mkdir()
    (directory / "folder").mkdir()

    with dangling_file(directory) as left, held_namespace.mount(pod.file, f"{directory}/alive"):
        found = [o for o in observe() if o.reason is detector.FILE]

    assert [o.subject.file for o in found] == [f"/run/netns/{left.name}"]
    assert found[0].severity is Severity.WARNING


def test_this_machine_has_all_its_network_functions(observe: Observe) -> None:
    assert not [o for o in observe() if o.reason is detector.DEVICE]


@contextlib.contextmanager
def _held_as_sandbox(name: str, *, running: bool = False) -> Iterator[tuple[Attached, Sandbox]]:
    """Give a sandbox a veth and a mounted namespace, with its process running or not."""
    path = f"/run/netns/cni-{uuid4()}"
    with sandbox() as made:
        link = f"veth{uuid4().hex[:8]}"
        attached = Attached(link=link, netns=f"/var{path}", sandbox=name)
        with veth(made.pid, name=link), held_namespace.mount(made.file, path):
            if not running:
                made.stop()
            yield attached, made
