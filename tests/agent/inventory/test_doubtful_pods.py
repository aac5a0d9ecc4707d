"""Lists of pods that are not what they seem."""

from __future__ import annotations

import os
import shutil

import pytest

from .conftest import Machine

PODS = [f"8a7f0000-0000-4000-8000-00000000000{number}" for number in range(3)]


@pytest.fixture
def node(machine: Machine) -> Machine:
    """A node with three pods, and logs of them, in the namespaces 100 to 102."""
    for number, uid in enumerate(PODS):
        machine.process(17 + number, 100 + number, cgroup=f"/kubepods/pod{uid}/{'3f1c' * 16}")
        machine.logs(f"shop_cart-{number}_{uid}")
    return machine


@pytest.mark.parametrize("others", [[], ["0e11d0a1-0000-4000-8000-000000000009"]])
def test_a_directory_of_another_kubelet_lets_no_pod_seem_gone(
    node: Machine, others: list[str]
) -> None:
    (node.root / "var/lib/kubelet/pods").mkdir(parents=True)
    node.pods(*others)

    found = node.look()

    assert not found.pods_known
    assert "KERNELHEALTH_KUBELET_PODS" in found.blind[0]


def test_pods_without_logs_may_be_those_of_another_cluster(node: Machine) -> None:
    shutil.rmtree(node.root / "var/log/pods")
    (node.root / "var/lib/kubelet/pods").mkdir(parents=True)

    assert node.look().pods_known


def test_a_directory_with_one_of_the_pods_is_believed(node: Machine) -> None:
    node.pods(PODS[0])

    found = node.look()

    assert found.pods_known
    assert set(found.pods) == {PODS[0]}


def test_the_name_of_a_log_directory_may_be_no_text(node: Machine) -> None:
    node.pods(*PODS)
    name = os.fsdecode(b"shop_\xff_" + PODS[0].encode())
    (node.root / f"var/log/pods/shop_cart-0_{PODS[0]}").rename(node.root / "var/log/pods" / name)

    found = node.look()

    assert found.pods[PODS[0]].title == "shop/\\udcff"


@pytest.mark.parametrize(("inside", "pod"), [(False, None), (True, PODS[0])])
def test_pods_of_a_cluster_in_a_container_are_those_of_the_node_that_it_is(
    machine: Machine, *, inside: bool, pod: str | None
) -> None:
    node = f"/docker/{'4c1e' * 16}"
    machine.process(17, 100, cgroup=f"{node}/kubelet/kubepods/pod{PODS[0]}/{'3f1c' * 16}")
    if inside:
        (machine.root / "proc/1/cgroup").write_text(f"0::{node}/init.scope\n")

    found = machine.look().namespaces[100].pod

    assert (found.uid if found else None) == pod


def test_one_namespace_that_is_mounted_everywhere_takes_little_memory(machine: Machine) -> None:
    machine.process(17, 100)
    for number in range(100):
        machine.mount(1, 100, f"/run/netns/{number}")

    mounts = machine.look().namespaces[100].mounts

    assert [mount.path for mount in mounts] == [f"/run/netns/{number}" for number in range(16)]


def test_a_mount_table_that_is_too_long_is_told_and_its_beginning_is_used(machine: Machine) -> None:
    machine.process(17, 100, mntns=5)
    machine.mount(17, 101, "/run/netns/first")
    with (machine.root / "proc/17/mountinfo").open("a") as file:
        file.write("71 68 0:5 / /x rw - tmpfs tmpfs rw\n" * (1 << 19))

    found = machine.look()

    assert set(found.namespaces) == {100, 101}
    assert found.blind[0].startswith("proc/17/mountinfo is longer than 16 MiB")
