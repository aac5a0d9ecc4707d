from __future__ import annotations

import dataclasses

import pytest

from kernelhealth_agent.fixes.drop_caches import FIX
from kernelhealth_agent.surgery import End
from kernelhealth_api.detector import Measure

from .conftest import Machine, observation

SWITCH, STAT = "proc/sys/vm/drop_caches", "sys/fs/cgroup/cgroup.stat"
DYING = dataclasses.replace(
    observation("DyingCgroups", rule="cgroup2"), measure=Measure(1200.0, 60000.0)
)
OLD = dataclasses.replace(DYING, subject=observation("DyingCgroups", rule="cpu,memory").subject)


@pytest.fixture
def machine(machine: Machine) -> Machine:
    machine.write(SWITCH, "")
    machine.write("proc/vmstat", "drop_pagecache 0\ndrop_slab 0\n")
    return machine


def test_2_is_written_and_fewer_groups_are_dying(machine: Machine) -> None:
    machine.write(STAT, "nr_descendants 90\nnr_dying_descendants 1201\n")
    machine.meanwhile = lambda: machine.write(STAT, "nr_dying_descendants 30\n")

    (result,) = machine.treat(FIX, DYING)

    assert result.end is End.ACHIEVED
    assert machine.read(SWITCH) == "2\n"


def test_it_is_refused_where_it_became_better_by_itself(machine: Machine) -> None:
    machine.write(STAT, "nr_descendants 90\nnr_dying_descendants 1199\n")

    (result,) = machine.treat(FIX, DYING)

    assert (result.end, "fewer groups" in result.why) == (End.REFUSED, True), result
    assert machine.read(SWITCH) == ""


def test_it_failed_where_as_many_are_dying_as_before(machine: Machine) -> None:
    machine.write(STAT, "nr_descendants 90\nnr_dying_descendants 1200\n")

    (result,) = machine.treat(FIX, DYING)

    assert (result.end, "as before" in result.why) == (End.FAILED, True), result


@pytest.mark.parametrize(("dropped", "end"), [(1, End.ACHIEVED), (0, End.FAILED)])
def test_where_nobody_counts_the_dying_the_kernels_own_counter_tells(
    machine: Machine, dropped: int, end: End
) -> None:
    machine.write("proc/vmstat", f"drop_pagecache 0\ndrop_slab {dropped}\n")

    (result,) = machine.treat(FIX, OLD)

    assert result.end is end


def test_it_is_refused_by_a_kernel_without_that_switch(machine: Machine) -> None:
    (machine.root / SWITCH).unlink()
    machine.write("proc/sys/vm/swappiness", "60\n")

    (result,) = machine.treat(FIX, DYING)

    assert (result.end, result.why) == (End.REFUSED, "this kernel has no vm.drop_caches")
