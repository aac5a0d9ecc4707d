from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.fixes.set_sysctl import FIX
from kernelhealth_agent.hosts.deeds.sysctls import SetSysctl
from kernelhealth_agent.kernel import sysctl_limits
from kernelhealth_agent.kernel.sysctl_limits import LIMITS, Limit
from kernelhealth_agent.surgery import End

from .conftest import Machine, observation

CONNTRACK = "net.netfilter.nf_conntrack_max"
FULL = observation("ConntrackNearlyFull", rule=f"{CONNTRACK} = 65536")


def has(machine: Machine, name: str, value: int) -> None:
    machine.write(sysctl_limits.path(name), f"{value}\n")


def value(machine: Machine, name: str = CONNTRACK) -> int:
    return int(machine.read(sysctl_limits.path(name)))


@pytest.fixture
def machine(machine: Machine) -> Machine:
    """A host with 16 GiB of memory and a table for 65536 connections."""
    machine.write("proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\n")
    has(machine, CONNTRACK, 65536)
    return machine


def test_a_limit_is_doubled_and_the_old_value_kept(machine: Machine) -> None:
    (result,) = machine.treat(FIX, FULL)

    assert result.end is End.ACHIEVED
    assert value(machine) == 131072
    assert machine.deeds == [f"{CONNTRACK} = 131072 (it was 65536)"]
    assert (machine.kept / CONNTRACK).read_text() == "65536\n"


def test_a_limit_of_many_namespaces_is_raised_once(machine: Machine) -> None:
    results = machine.treat(FIX, FULL, FULL)

    assert [result.title for result in results] == [CONNTRACK]
    assert value(machine) == 131072


@pytest.mark.parametrize("now", [131072, 32768])
def test_a_limit_that_somebody_changed_since_is_left_alone(machine: Machine, now: int) -> None:
    has(machine, CONNTRACK, now)

    (result,) = machine.treat(FIX, FULL)

    assert (result.end, f"it is {now} by now" in result.why) == (End.REFUSED, True), result
    assert value(machine) == now


def test_memory_bounds_a_limit(machine: Machine) -> None:
    machine.write("proc/meminfo", "MemTotal:         160000 kB\n")

    (result,) = machine.treat(FIX, FULL)

    assert result.end is End.ACHIEVED
    assert value(machine) == 160000 * 1024 // 4 // 512


def test_the_length_of_the_lists_bounds_the_table_of_connections(machine: Machine) -> None:
    has(machine, "net.netfilter.nf_conntrack_buckets", 4096)

    (result,) = machine.treat(FIX, FULL)

    assert (result.end, "not raised any further" in result.why) == (End.REFUSED, True), result
    assert value(machine) == 65536


def test_a_limit_at_its_ceiling_is_left_to_a_person(machine: Machine) -> None:
    has(machine, "fs.mount-max", 1_000_000)
    found = observation("MountsNearlyExhausted", rule="fs.mount-max = 1000000")

    (result,) = machine.treat(FIX, found)

    assert (result.end, "by hand" in result.why) == (End.REFUSED, True), result


@pytest.mark.parametrize(
    "rule",
    [
        "kernel.panic = 0",
        "pids.max = 100",
        "../../etc/passwd = 1",
        "net.netfilter.nf_conntrack_max",
        f"{CONNTRACK} = many",
        None,
    ],
)
def test_nothing_but_the_catalogue_is_ever_set(machine: Machine, rule: str | None) -> None:
    assert machine.treat(FIX, observation("ConntrackNearlyFull", rule=rule)) == []


def test_a_limit_is_raised_for_its_own_reasons_only(machine: Machine) -> None:
    assert (
        machine.treat(FIX, observation("FilesNearlyExhausted", rule=f"{CONNTRACK} = 65536")) == []
    )


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.sysctl)
def test_each_limit_of_the_catalogue_can_be_raised(machine: Machine, limit: Limit) -> None:
    has(machine, limit.sysctl, 1024)

    (result,) = machine.treat(FIX, observation(limit.reason, rule=f"{limit.sysctl} = 1024"))

    assert result.end is End.ACHIEVED
    assert value(machine, limit.sysctl) == 2048


def test_what_does_not_hold_a_number_is_left_alone(machine: Machine) -> None:
    machine.write(sysctl_limits.path(CONNTRACK), "garbage\n")

    (result,) = machine.treat(FIX, FULL)

    assert (result.end, "does not hold a number" in result.why) == (End.REFUSED, True), result


def test_a_value_that_changes_under_the_hands_is_left_alone(machine: Machine) -> None:
    has(machine, CONNTRACK, 70000)
    machine.kept.mkdir(parents=True)

    with pytest.raises(errors.UnreadableError, match="70000 by now"):
        SetSysctl(CONNTRACK, 131072, 65536).do(str(machine.root), str(machine.kept))

    assert value(machine) == 70000


@given(
    st.sampled_from(LIMITS),
    st.integers(0, 1 << 63),
    st.integers(1 << 20, 1 << 50),
    st.none() | st.integers(0, 1 << 30),
)
def test_a_limit_is_never_lowered_and_never_raised_beyond_its_bounds(
    limit: Limit, now: int, memory: int, beside: int | None
) -> None:
    target = limit.target(now, memory, beside)

    assert target >= now
    if target > now:
        assert target <= min(2 * now, limit.ceiling)
        assert target * limit.each <= memory / 4
