"""Whose a namespace is, and what is remembered of it for when only its id is left."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelhealth_agent import inventory
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace, Pod, Remembered

from .conftest import NOW, Machine

CART = "8a7f0000-0000-4000-8000-000000000007"
TILL = "8a7f0000-0000-4000-8000-000000000008"
BOX, OTHER_BOX = "3f1c" * 16, "4e2d" * 16


def group(uid: str, box: str = BOX) -> str:
    return f"/kubepods/burstable/pod{uid}/{box}"


def learned(machine: Machine, inode: int = 100) -> Remembered:
    """What a look remembers of a namespace."""
    return inventory.remember(machine.look())[inode]


@pytest.fixture
def pod(machine: Machine) -> Machine:
    """A host with one pod, shop/cart-7 in namespace 100 with the id 3."""
    machine.process(17, 100, cgroup=group(CART))
    machine.ids, machine.cookies = {100: 3}, {100: 7001}
    machine.pods(CART)
    machine.logs(f"shop_cart-7_{CART}")
    return machine


def test_a_pod_is_remembered_with_all_that_tells_it_later(pod: Machine) -> None:
    past = learned(pod)

    assert past == Remembered(
        100, 3, Pod("shop", "cart-7", CART, "cgroup"), BOX, NOW + pod.later, 7001
    )


def test_a_pod_without_a_log_directory_is_known_by_its_uid(machine: Machine) -> None:
    machine.process(17, 100, cgroup=group(CART))
    machine.pods(CART)

    assert learned(machine).pod == Pod("", "", CART, "cgroup")


def test_a_gone_pod_is_still_named_by_its_log_directory(pod: Machine) -> None:
    (pod.root / "var/lib/kubelet/pods" / CART).rmdir()

    found = pod.look()

    assert found.pods == {}
    assert found.namespaces[100].pod == Pod("shop", "cart-7", CART, "cgroup")


def test_the_name_of_a_pod_outlives_its_log_directory(pod: Machine) -> None:
    past = learned(pod)
    (pod.root / f"var/log/pods/shop_cart-7_{CART}").rmdir()

    assert pod.look({100: past}).namespaces[100].pod == past.pod


def test_without_the_kubelets_directory_the_logs_say_which_pods_there_are(pod: Machine) -> None:
    (pod.root / "var/lib/kubelet/pods" / CART).rmdir()
    (pod.root / "var/lib/kubelet/pods").rmdir()

    found = pod.look()

    assert found.pods == {CART: Pod("shop", "cart-7", CART, "cgroup")}
    assert found.pods_known


def test_without_either_directory_no_pod_can_be_called_gone(machine: Machine) -> None:
    assert not machine.look().pods_known


def test_what_is_no_pods_is_not_remembered(machine: Machine) -> None:
    machine.process(17, 100, cgroup="/docker/" + BOX)
    machine.mount(1, 200, "/run/netns/blue")

    assert inventory.remember(machine.look()) == {}


def test_a_pod_is_found_by_a_later_process_of_its_namespace(machine: Machine) -> None:
    machine.process(17, 100)
    machine.process(18, 100, cgroup=group(CART))

    assert learned(machine).pod.uid == CART


def test_a_namespace_that_lost_its_processes_is_its_pods_by_memory(pod: Machine) -> None:
    past = learned(pod)
    pod.end(17)
    pod.mount(1, 100, "/run/netns/cni-1")

    found = pod.look({100: past}).namespaces[100]

    assert found.pod == dataclasses.replace(past.pod, known_by="memory")
    assert (found.sandbox, found.cookie) == (BOX, 7001)


def test_a_leaked_namespace_is_remembered_while_its_id_is_in_the_kernel(pod: Machine) -> None:
    memory = {100: learned(pod)}
    pod.end(17)
    pod.ids, pod.leaked = {}, {3}
    leaking = inventory.remember(pod.look(memory))
    pod.leaked = set()
    over = inventory.remember(pod.look(leaking))

    assert leaking == memory
    assert over == {}


def test_a_namespace_without_an_id_is_remembered_when_it_is_out_of_sight(machine: Machine) -> None:
    machine.process(17, 100, cgroup=group(CART))
    memory = {100: learned(machine)}
    machine.end(17)

    once = inventory.remember(machine.look(memory))
    twice = inventory.remember(machine.look(once))

    assert once == twice == memory


def test_a_namespace_without_an_id_is_forgotten_when_its_inode_number_is_given_again(
    machine: Machine,
) -> None:
    machine.process(17, 100, cgroup=group(CART))
    memory = {100: learned(machine)}
    machine.end(17)
    machine.process(18, 100)
    machine.cookies = {100: 7002}

    found = machine.look({100: dataclasses.replace(memory[100], cookie=7001)})

    assert inventory.remember(found) == {}


def test_an_id_that_another_namespace_got_tells_the_gone_pod_no_more(pod: Machine) -> None:
    memory = {100: learned(pod)}
    pod.end(17)
    pod.process(18, 200)
    pod.ids = {200: 3}

    found = pod.look(memory)

    assert found.unreachable == frozenset()
    assert inventory.remember(found) == {}


def test_two_pods_have_one_inode_number_one_after_the_other(pod: Machine) -> None:
    memory = {100: learned(pod)}
    pod.end(17)
    pod.process(18, 100, cgroup=group(TILL, OTHER_BOX))
    pod.cookies = {100: 7002}
    pod.logs(f"shop_till-8_{TILL}")

    now = inventory.remember(pod.look(memory))

    assert now[100].pod.title == "shop/till-8"
    assert (now[100].sandbox, now[100].cookie) == (OTHER_BOX, 7002)


def test_a_new_sandbox_of_the_same_pod_is_asked_for_its_own_cookie(pod: Machine) -> None:
    memory = {100: learned(pod)}
    pod.end(17)
    pod.process(18, 100, cgroup=group(CART, OTHER_BOX))
    pod.cookies = {100: 7002}

    assert inventory.remember(pod.look(memory))[100].cookie == 7002


def test_a_namespace_that_is_known_is_not_entered_again(pod: Machine) -> None:
    memory = {100: learned(pod)}
    pod.cookies = {}

    assert inventory.remember(pod.look(memory))[100].cookie == 7001


@pytest.mark.parametrize(
    ("nsid", "cookie"), [(3, 7002), (4, 7001)], ids=["another cookie", "another id"]
)
def test_the_next_namespace_with_the_inode_number_of_a_pods_is_not_the_pods(
    nsid: int, cookie: int, pod: Machine
) -> None:
    memory = {100: learned(pod)}
    pod.end(17)
    pod.process(18, 100, cgroup="/system.slice/vpn.service")
    pod.ids, pod.cookies = {100: nsid}, {100: cookie}

    found = pod.look(memory)

    assert found.namespaces[100].pod is None
    assert inventory.remember(found) == {}


def test_a_kernel_without_cookies_is_believed_its_inode_numbers(pod: Machine) -> None:
    pod.cookies = {}
    memory = {100: learned(pod)}
    pod.end(17)
    pod.process(18, 100, cgroup="/system.slice/vpn.service")

    assert pod.look(memory).namespaces[100].pod == Pod("shop", "cart-7", CART, "memory")


def test_a_pod_in_the_hosts_network_has_no_namespace_of_its_own(machine: Machine) -> None:
    machine.process(17, cgroup=group(CART))

    assert inventory.remember(machine.look()) == {}


def remembered(inode: int, age: int) -> Remembered:
    pod = Pod("shop", f"p{inode}", f"u{inode}", "cgroup")
    seen = NOW.replace(year=2025 - age)
    return Remembered(inode, inode, pod, None, seen)


def look_of(reached: set[int], memory: list[Remembered]) -> Inventory:
    pod = Pod("shop", "new", "u", "cgroup")
    return Inventory(
        boot_id="boot-1",
        taken=NOW,
        host=Namespace(1),
        namespaces={inode: Namespace(inode, nsid=inode, pod=pod) for inode in reached},
        nsids=frozenset(past.nsid for past in memory if past.nsid is not None) | reached,
        links=(),
        pods={},
        memory={past.inode: past for past in memory},
    )


def test_of_too_many_the_newest_are_remembered() -> None:
    memory = [remembered(10_000 + n, age=n % 2) for n in range(4000)]

    kept = inventory.remember(look_of(set(range(2, 2098)), memory))

    assert len(kept) == 4096
    assert set(kept) == set(range(2, 2098)) | {past.inode for past in memory if past.inode % 2 == 0}


def test_of_too_many_without_an_id_the_newest_are_remembered() -> None:
    memory = [dataclasses.replace(remembered(100 + n, age=n), nsid=None) for n in range(300)]

    kept = inventory.remember(look_of(set(), memory))

    assert set(kept) == {past.inode for past in memory[:256]}


@settings(deadline=None)
@given(
    st.sets(st.integers(2, 30)),
    st.lists(st.builds(remembered, st.integers(2, 30), st.integers(0, 9))),
)
def test_memory_is_of_what_is_there_or_leaked_and_remembering_twice_changes_nothing(
    reached: set[int], memory: list[Remembered]
) -> None:
    look = look_of(reached, memory)

    kept = inventory.remember(look)

    assert set(kept) == reached | {past.inode for past in memory}
    assert inventory.remember(dataclasses.replace(look, memory=kept)) == kept
