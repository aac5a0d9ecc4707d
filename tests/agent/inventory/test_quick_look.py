"""A quick look: the same as a full one where it says something, and a full one where it cannot."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelhealth_agent import attribution, errors, inventory
from kernelhealth_agent.kernel.namespaces import Inventory, Mount, Pod, Remembered
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.survey import Effort, Surveyor

from .conftest import NOW, Machine, machine_at

CART = "8a7f0000-0000-4000-8000-000000000007"
BOX = "3f1c" * 16
GROUP = f"/kubepods/burstable/pod{CART}/{BOX}"
SETTLED = 30.0


@dataclass
class Walk:
    """Looks at a machine again and again; all of them may be quick but the first."""

    machine: Machine
    surveyor: Surveyor = field(default_factory=lambda: Surveyor(attribution.Places(), 600.0))
    memory: dict[int, Remembered] = field(default_factory=dict)
    uptime: float = 1000.0

    def look(self, effort: Effort = Effort.QUICK, after: float = 1.0) -> Inventory:
        self.uptime += after
        self.surveyor.effort = effort
        moment = Moment(NOW, self.uptime)
        seen = self.surveyor(self.machine.host(), moment, self.memory)
        self.memory = inventory.remember(seen)
        return seen

    def settle(self) -> None:
        """Look twice, so that what is there is known."""
        self.look(Effort.FULL)
        self.look(Effort.FULL, SETTLED)


@pytest.fixture
def walk(machine: Machine) -> Walk:
    """A host with one pod, shop/cart-7 in namespace 100 with the id 3, that is known."""
    machine.process(17, 100, mntns=50, cgroup=GROUP)
    machine.ids, machine.cookies = {100: 3}, {100: 7001}
    machine.pods(CART)
    machine.logs(f"shop_cart-7_{CART}")
    made = Walk(machine)
    made.settle()
    return made


def asked(machine: Machine) -> set[str]:
    return machine.looks[-1].asked


def test_what_is_known_is_verified_and_not_read_again(walk: Walk) -> None:
    walk.machine.process(18, 100, mntns=50, cgroup=GROUP)
    before = walk.look()
    walk.look(after=SETTLED)

    now = walk.look()

    assert now == before
    assert not walk.surveyor.full
    assert {"proc/1/ns/net", "proc/17/ns/net", "proc/1/mountinfo"} <= asked(walk.machine)
    assert not {"proc/18/ns/net", "proc/17/mountinfo", "proc/17/cgroup"} & asked(walk.machine)


def test_a_new_process_is_found_with_its_namespace_and_its_pod(walk: Walk) -> None:
    other = "8a7f0000-0000-4000-8000-000000000008"
    walk.machine.process(18, 200, mntns=51, cgroup=f"/kubepods/pod{other}/{BOX}")
    walk.machine.ids[200] = 4
    walk.machine.pods(other)

    found = walk.look()

    assert not walk.surveyor.full
    assert (found.namespaces[200].nsid, found.namespaces[200].pids) == (4, (18,))
    assert found.namespaces[200].pod == Pod("", "", other, "cgroup")


def test_a_young_process_is_read_again_for_it_may_go_into_a_container(walk: Walk) -> None:
    walk.machine.process(18)
    walk.look()
    walk.machine.end(18)
    walk.machine.process(18, 200)

    assert walk.look().namespaces[200].pids == (18,)
    assert not walk.surveyor.full


def test_a_mount_of_the_runtime_is_found_at_once(walk: Walk) -> None:
    walk.machine.mount(1, 300, "/run/netns/cni-1")

    assert walk.look().namespaces[300].mounts == (Mount(1, "/run/netns/cni-1"),)
    assert not walk.surveyor.full


def test_a_pod_that_lost_its_processes_is_known_by_its_mount(walk: Walk) -> None:
    walk.machine.mount(1, 100, "/run/netns/cni-1")
    walk.look()
    walk.machine.end(17)

    found = walk.look().namespaces[100]

    assert not walk.surveyor.full
    assert (found.pids, found.nsid, found.pod and found.pod.known_by) == ((), 3, "memory")


def test_a_process_that_left_its_namespace_makes_the_look_a_full_one(walk: Walk) -> None:
    link = walk.machine.root / "proc/17/ns/net"
    link.unlink()
    link.symlink_to("net:[200]")

    found = walk.look()

    assert walk.surveyor.full
    assert (set(found.unreachable), set(found.namespaces)) == ({3}, {200})


@pytest.mark.parametrize("effort", [Effort.QUICK, Effort.FULL])
def test_an_id_that_nothing_leads_to_is_out_of_reach_of_a_full_look(
    effort: Effort, walk: Walk
) -> None:
    walk.machine.leaked = {4}

    assert walk.look(effort).unreachable == {4}
    assert walk.surveyor.full
    assert walk.machine.looks[-1].descriptor_looks == 1


def test_a_frugal_look_waits_for_the_next_to_ask_what_an_id_is_of(walk: Walk) -> None:
    walk.machine.leaked = {4}

    first = walk.look(Effort.FRUGAL)
    waited = walk.surveyor.waiting
    second = walk.look(Effort.FRUGAL)

    assert (set(first.unreachable), waited) == (set(), True)
    assert (set(second.unreachable), walk.surveyor.waiting, walk.surveyor.full) == (
        {4},
        False,
        True,
    )


def test_a_pod_is_still_named_when_a_frugal_look_left_its_question_open(walk: Walk) -> None:
    walk.machine.end(17)
    walk.machine.ids, walk.machine.leaked = {}, {3}

    first = walk.look(Effort.FRUGAL)
    second = walk.look(Effort.FRUGAL)

    assert (set(first.unreachable), set(first.open)) == (set(), {3})
    assert (set(second.unreachable), set(second.open)) == ({3}, set())
    assert walk.memory[100].pod.title == "shop/cart-7"


def test_an_id_that_was_on_its_way_out_costs_a_frugal_look_nothing(walk: Walk) -> None:
    walk.machine.leaked = {4}
    walk.look(Effort.FRUGAL)
    walk.machine.leaked = {5}

    walk.look(Effort.FRUGAL)

    assert not walk.surveyor.full
    assert sum(look.descriptor_looks for look in walk.machine.looks[-2:]) == 0


def test_tables_of_containers_are_read_when_something_is_out_of_reach(walk: Walk) -> None:
    walk.machine.mount(17, 300, "/held")
    before = walk.look(Effort.STEADY)
    walk.machine.ids[300] = 5

    found = walk.look(Effort.STEADY)

    assert 300 not in before.namespaces
    assert (found.namespaces[300].nsid, set(found.unreachable)) == (5, set())


@pytest.mark.parametrize(
    ("effort", "looks"), [(Effort.FULL, 1), (Effort.STEADY, 0), (Effort.QUICK, 0)]
)
def test_what_is_lost_stays_lost_and_is_asked_again_to_be_confirmed(
    effort: Effort, looks: int, walk: Walk
) -> None:
    walk.machine.leaked = {4}
    walk.look()

    found = walk.look(effort)

    assert set(found.unreachable) == {4}
    assert walk.machine.looks[-1].descriptor_looks == looks


def test_what_was_lost_is_asked_anew_when_its_id_is_given_again(walk: Walk) -> None:
    walk.machine.leaked = {4}
    walk.look(Effort.STEADY)
    walk.machine.leaked = set()
    walk.look(Effort.STEADY)
    walk.machine.leaked = {4}

    walk.look(Effort.STEADY)

    assert walk.machine.looks[-1].descriptor_looks == 1


def test_what_could_not_be_looked_at_is_said_until_everything_is_looked_at_again(
    walk: Walk,
) -> None:
    walk.machine.mount(1, 300, "/covered", opens=0)
    walk.machine.ids[300] = 5
    asked = walk.look(Effort.FULL)
    del walk.machine.ids[300]

    steady, quick = walk.look(Effort.STEADY), walk.look()

    assert asked.blind == steady.blind == quick.blind
    assert asked.blind[0].startswith("proc/1/root/covered is network namespace 300")


def test_in_doubt_no_look_is_quick(walk: Walk) -> None:
    walk.surveyor.doubt = True

    assert walk.look(Effort.FRUGAL).thorough


def test_a_namespace_without_an_id_that_goes_out_of_sight_is_asked_for_once(walk: Walk) -> None:
    walk.machine.ids, walk.machine.leaked = {}, set()
    walk.settle()
    walk.machine.end(17)

    looks = []
    for _ in range(3):
        walk.look()
        looks.append(walk.machine.looks[-1].descriptor_looks)

    assert looks[0] == 1
    assert set(walk.memory) == {100}


def test_an_id_that_is_given_late_is_no_question(walk: Walk) -> None:
    walk.machine.process(18, 200)
    walk.settle()
    walk.machine.ids[200] = 4

    found = walk.look()

    assert not walk.surveyor.full
    assert found.namespaces[200].nsid == 4


def test_a_namespace_that_only_a_descriptor_reaches_stays_while_it_is_open(walk: Walk) -> None:
    walk.machine.open(17, 9, 300)
    walk.machine.ids[300] = 5
    walk.look()
    walk.look(after=SETTLED)
    kept = walk.look()
    (walk.machine.root / "proc/17/fd/9").unlink()
    del walk.machine.ids[300]

    gone = walk.look()

    assert kept.namespaces[300].descriptors == ((17, 9),)
    assert 300 not in gone.namespaces


def test_a_mount_inside_a_container_is_verified(walk: Walk) -> None:
    walk.machine.mount(17, 300, "/held")
    walk.look(Effort.STEADY, after=600.0)
    kept = walk.look()
    (walk.machine.root / "proc/17/mountinfo").write_text("")
    del walk.machine.files["proc/17/root/held"]

    gone = walk.look()

    assert not walk.surveyor.full
    assert (300 in kept.namespaces, 300 in gone.namespaces) == (True, False)


def test_a_container_whose_first_process_ended_is_looked_into_through_another(walk: Walk) -> None:
    walk.machine.process(18, 100, mntns=50, cgroup=GROUP)
    walk.machine.mount(17, 300, "/held")
    walk.machine.mount(18, 300, "/held")
    walk.settle()
    walk.look(after=600.0)
    walk.machine.end(17)

    assert walk.look().namespaces[300].mounts == (Mount(18, "/held"),)


def test_without_process_1_a_quick_look_says_what_it_lacks(walk: Walk) -> None:
    walk.machine.end(1)

    with pytest.raises(errors.AbsentError, match=r"^proc/1 is missing"):
        walk.look()


_NUMBERS = st.integers(20, 26)
_SPACES = st.sampled_from([100, 200, 300])
_Step = Callable[[Machine, int, int], None]


def _starts(machine: Machine, pid: int, inode: int) -> None:
    if not (machine.root / f"proc/{pid}").exists():
        machine.process(pid, inode, mntns=inode, cgroup=GROUP if inode == 100 else "/")
        machine.ids.setdefault(inode, inode // 10)


def _ends(machine: Machine, pid: int, _: int) -> None:
    shutil.rmtree(machine.root / f"proc/{pid}", ignore_errors=True)


def _mounts(machine: Machine, _: int, inode: int) -> None:
    machine.mount(1, inode, f"/run/netns/{inode}")


def _unmounts(machine: Machine, _pid: int, _inode: int) -> None:
    (machine.root / "proc/1/mountinfo").write_text("")
    machine.files.clear()


_STEPS = st.tuples(st.sampled_from([_starts, _ends, _mounts, _unmounts]), _NUMBERS, _SPACES)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(_STEPS, max_size=4), max_size=5))
def test_whatever_starts_and_ends_a_quick_look_sees_what_a_full_one_sees(
    rounds: list[list[tuple[_Step, int, int]]],
) -> None:
    with TemporaryDirectory() as directory:
        machine = machine_at(Path(directory) / "host")
        walk = Walk(machine)
        walk.settle()
        for steps in rounds:
            for step, pid, inode in steps:
                step(machine, pid, inode)
            memory = walk.memory
            quick = walk.look(after=SETTLED)

            full = inventory.take(machine.host(), NOW, memory, thorough=quick.thorough)

            assert dataclasses.replace(quick, thorough=full.thorough) == full
