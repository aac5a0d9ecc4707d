"""One look at a host: what is reached, by what, and what may be called out of reach."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernelhealth_agent import errors, inventory
from kernelhealth_agent.kernel.namespaces import Mount, Pod, Remembered

from .conftest import HOST, NOW, Machine

POD = Pod("shop", "cart-7", "8a7f0000-0000-4000-8000-000000000007", "cgroup")
PTRACE, NO_PTRACE = "CapEff:\t000001ffffffffff\n", "CapEff:\t000001fffff7ffff\n"


def past(inode: int, nsid: int | None, cookie: int | None = None) -> Remembered:
    return Remembered(inode, nsid, POD, None, NOW, cookie)


def test_a_namespace_with_a_process_is_reached(machine: Machine) -> None:
    machine.process(17, 100)
    machine.ids = {100: 3}

    found = machine.look()

    assert found.host.inode == HOST
    assert found.namespaces[100].pids == (17,)
    assert found.namespaces[100].nsid == 3
    assert (found.nsids, found.unreachable) == (frozenset({3}), frozenset())
    assert found.processes == 2


def test_an_id_that_nothing_leads_to_is_out_of_reach(machine: Machine) -> None:
    machine.process(17, 100)
    machine.ids, machine.leaked = {100: 3}, {4}

    assert machine.look().unreachable == {4}


def test_the_hosts_own_id_is_not_counted(machine: Machine) -> None:
    machine.ids = {HOST: 0}

    found = machine.look()

    assert (found.nsids, found.host.nsid, found.namespaces) == (frozenset(), 0, {})


def test_a_namespace_born_during_the_look_is_not_out_of_reach(machine: Machine) -> None:
    machine.happening = lambda: machine.write(ids=[4])

    assert machine.look().nsids == frozenset()


def test_a_namespace_that_dies_during_the_look_is_not_out_of_reach(machine: Machine) -> None:
    machine.leaked = {4}
    machine.happening = lambda: machine.write(ids=[])

    assert machine.look().nsids == frozenset()


def test_a_process_that_ends_during_the_look_leaves_its_namespace_to_the_next(
    machine: Machine,
) -> None:
    for pid in (17, 18):
        machine.process(pid, 100)
    machine.ids = {100: 3}
    machine.happening = lambda: machine.end(17)

    found = machine.look()

    assert found.namespaces[100].file == "proc/18/ns/net"
    assert found.unreachable == frozenset()


def test_without_process_1_the_agent_is_told_what_it_lacks(machine: Machine) -> None:
    machine.end(1)

    with pytest.raises(errors.AbsentError, match=r"^proc/1 is missing: .* hostPID: true"):
        machine.look()


def test_an_agent_in_another_network_namespace_is_told_what_it_lacks(machine: Machine) -> None:
    machine.process(17, 100)
    machine.own = 17

    with pytest.raises(errors.UnreadableError, match=r"^proc/1/ns/net .* hostNetwork: true"):
        machine.look()


def test_a_namespace_that_is_only_mounted_is_reached(machine: Machine) -> None:
    machine.mount(1, 100, "/run/netns/blue")
    machine.ids = {100: 3}

    found = machine.look()

    assert found.namespaces[100].mounts == (Mount(1, "/run/netns/blue"),)
    assert found.namespaces[100].file == "proc/1/root/run/netns/blue"
    assert found.unreachable == frozenset()


def test_each_mount_namespace_is_looked_at_once_through_its_first_process(
    machine: Machine,
) -> None:
    for pid in (17, 18):
        machine.process(pid, mntns=50)
        machine.mount(pid, 100, "/held")

    assert machine.look().namespaces[100].mounts == (Mount(17, "/held"),)


def test_the_mounts_of_a_process_that_ends_meanwhile_are_seen_through_another(
    machine: Machine,
) -> None:
    for pid in (17, 18):
        machine.process(pid, mntns=50)
        machine.mount(pid, 100, "/held")
    machine.happening = lambda: machine.end(17)

    assert machine.look().namespaces[100].mounts == (Mount(18, "/held"),)


def test_mounts_that_cannot_be_understood_are_named(machine: Machine) -> None:
    (machine.root / "proc/1/mountinfo").write_text("net:[7] - nsfs nsfs\n")

    with pytest.raises(errors.UnreadableError, match=r"^proc/1/mountinfo:1 cannot be understood"):
        machine.look()


def test_mounts_of_a_process_in_no_namespace_any_more_are_passed_over(machine: Machine) -> None:
    machine.process(17, mntns=50)
    (machine.root / "proc/17/mountinfo").write_text("net:[7] - nsfs nsfs\n")
    machine.happening = (machine.root / "proc/17/ns/mnt").unlink

    assert machine.look().blind == ()


def test_a_namespace_that_is_only_open_is_reached(machine: Machine) -> None:
    machine.open(1, 5, 100)
    machine.ids = {100: 3}

    found = machine.look(thorough=False)

    assert found.namespaces[100].descriptors == ((1, 5),)
    assert found.unreachable == frozenset()


@pytest.mark.parametrize(
    ("leaked", "memory", "looks"),
    [
        (set(), {}, 0),
        ({4}, {}, 1),
        (set(), {100: past(100, None)}, 0),
        (set(), {200: past(200, 9)}, 0),
        (set(), {200: past(200, None)}, 1),
    ],
    ids=["no question", "an id", "in sight", "its id is gone", "out of sight without an id"],
)
def test_descriptors_are_read_where_a_question_is_open(
    leaked: set[int], memory: dict[int, Remembered], looks: int, machine: Machine
) -> None:
    machine.process(17, 100)
    machine.leaked = leaked

    machine.look(memory, thorough=False)

    assert machine.looks[0].descriptor_looks == looks


def test_a_thorough_look_always_reads_descriptors(machine: Machine) -> None:
    machine.look(thorough=True)

    assert machine.looks[0].descriptor_looks == 1


def test_nothing_is_claimed_while_a_mount_cannot_be_opened(machine: Machine) -> None:
    machine.mount(1, 100, "/run/netns/blue", opens=0)
    machine.ids = {100: 3}

    found = machine.look()

    assert found.unreachable == frozenset()
    assert found.blind[0].startswith("proc/1/root/run/netns/blue is network namespace 100 and")


def test_a_mount_below_another_one_is_not_taken_for_that(machine: Machine) -> None:
    machine.mount(1, 100, "/run/netns/blue", opens=200)
    machine.mount(1, 200, "/run/netns/blue")
    machine.ids = {100: 3, 200: 4}

    found = machine.look()

    assert found.namespaces[200].nsid == 4
    assert found.unreachable == frozenset()


def test_a_namespace_is_entered_by_the_mount_that_can_be_opened(machine: Machine) -> None:
    machine.mount(1, 100, "/below", opens=0)
    machine.mount(1, 100, "/above")
    machine.ids = {100: 3}

    assert machine.look().namespaces[100].file == "proc/1/root/above"


def test_leaks_of_remembered_pods_are_claimed_beside_a_mount_that_cannot_be_opened(
    machine: Machine,
) -> None:
    machine.mount(1, 100, "/run/netns/blue", opens=0)
    machine.ids, machine.leaked = {100: 3}, {4, 5}

    assert machine.look({200: past(200, 4)}).unreachable == {4}


def test_a_remembered_namespace_has_its_id_although_its_mount_cannot_be_opened(
    machine: Machine,
) -> None:
    machine.mount(1, 100, "/run/netns/blue", opens=0)
    machine.ids = {100: 3}

    found = machine.look({100: past(100, 3)})

    assert found.namespaces[100].nsid == 3
    assert found.unreachable == frozenset()


def test_an_unprivileged_agent_claims_nothing(machine: Machine) -> None:
    machine.process(17, mntns=0)
    machine.own, machine.leaked = 1, {4}
    (machine.root / "proc/1/status").write_text(NO_PTRACE)

    with pytest.raises(errors.ForbiddenError, match=r"^proc/17/fd .* lacks CAP_SYS_PTRACE"):
        machine.look()


def test_a_privileged_agent_says_which_process_it_may_not_ask(machine: Machine) -> None:
    machine.process(17, mntns=0)
    machine.own, machine.leaked = 1, {4}
    (machine.root / "proc/1/status").write_text(PTRACE)

    found = machine.look()

    assert found.unreachable == {4}
    assert found.blind[0].startswith("proc/17/fd may not be read even with CAP_SYS_PTRACE")


def test_processes_that_may_not_be_asked_do_not_matter_where_nothing_is_out_of_reach(
    machine: Machine,
) -> None:
    machine.process(17, mntns=0)

    assert machine.look().blind == ()


@pytest.mark.parametrize("answer", ["nsids", "links"])
def test_a_torn_answer_is_named(answer: str, machine: Machine) -> None:
    host = machine.host()
    (machine.root / f"netlink/{answer}.hex").write_text("1c000000")

    with pytest.raises(errors.UnreadableError, match=f"^netlink {answer} cannot be understood"):
        inventory.take(host, NOW, {})


PLACES = (
    "netlink/nsids.hex",
    "netlink/links.hex",
    "netlink/namespaces.json",
    "proc/1/mountinfo",
    "proc/17/cgroup",
    "proc/sys/kernel/random/boot_id",
)
broken = st.one_of(
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda raw: raw.hex().encode()),
    st.sampled_from([b"[]", b"{}", b'{"nsids": {"100": "x"}}', b'{"nsids": [1]}', b"null"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=broken, place=st.sampled_from(PLACES))
def test_any_bytes_give_an_inventory_or_name_the_file(
    content: bytes, place: str, machine: Machine
) -> None:
    if not (machine.root / "proc/17").exists():
        machine.process(17, 100)
    for path in PLACES:
        (machine.root / path).write_bytes(b"")
    host = machine.host()
    (machine.root / place).write_bytes(content)

    try:
        found = inventory.take(host, NOW, {})
    except errors.HostError as error:
        assert error.path  # noqa: PT017 - Both outcomes are right.
    else:
        assert 100 in found.namespaces
