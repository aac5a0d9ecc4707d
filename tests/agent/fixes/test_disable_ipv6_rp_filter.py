"""What is read and written; tests/kernel takes filters out of the running kernel."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import surgery
from kernelhealth_agent.fixes.disable_ipv6_rp_filter import FIX
from kernelhealth_agent.hands import DryHands
from kernelhealth_agent.kernel import firewalld, netlink
from kernelhealth_agent.surgery import End, Result, Theatre

from .conftest import HOST_NETNS, Machine, observation

CONF = "etc/firewalld/firewalld.conf"
NAME = "inet firewalld filter_PREROUTING handle 4 (fib)"
TRAP = observation("SuppressPrefixTrap", namespace=HOST_NETNS, rule=f"1: a rule; {NAME}")
# What Linux 6.18 says of: meta nfproto ipv6 fib saddr . mark . iif oif missing drop
RULE = (
    "2c010000060a020801000000ac6e0000010000020e0001006669726577616c6c640000001600020066696c7465725f"
    "505245524f5554494e470000000c00030000000000000000040c0006000000000000000003d8000400240001000900"
    "01006d6574610000000014000200080002000000000f08000100000000012c00010008000100636d70002000020008"
    "0001000000000108000200000000000c000300050001000a0000002800010008000100666962001c00020008000100"
    "000000010800020000000001080003000000002d2c00010008000100636d7000200002000800010000000001080002"
    "00000000000c0003000800010000000000300001000e000100696d6d6564696174650000001c000200080001000000"
    "0000100002000c0002000800010000000000"
)

LINES = st.lists(
    st.sampled_from(
        [
            b"IPv6_rpfilter=yes",
            b" IPv6_rpfilter = loose ",
            b"IPv6_rpfilter=no",
            b"IPv6_rpfilter=",
            b"# IPv6_rpfilter=yes",
            b"DefaultZone=public",
            b"caf\xe9=1",
            b"",
        ]
    ),
    max_size=8,
)


def table(owner: bytes = b"") -> str:
    """Return what the kernel says of firewalld's table, owned by it or not."""
    body = b"\x01\0\0\0" + netlink.attribute(1, b"firewalld\0") + owner
    return (netlink.HEADER.pack(16 + len(body), 10 << 8, 2, 1, 0) + body).hex()


OWNED = table(netlink.attribute(7, b"\0\0\0\x11"))


@pytest.fixture
def machine(machine: Machine) -> Machine:
    """A host with firewalld, and with its filter in the kernel."""
    machine.write("netlink/nft-rules.hex", RULE)
    machine.write("netlink/nft-tables.hex", table())
    machine.write(CONF, "DefaultZone=public\nIPv6_rpfilter=yes\n")
    return machine


def treat(machine: Machine) -> tuple[Result, list[str]]:
    """Return what would be done."""
    hands, clock = DryHands(), itertools.count()
    theatre = Theatre(
        machine.host, hands, lambda _: None, clock.__next__, print, print, patience=0.0
    )
    (result,) = surgery.operate(FIX, FIX.aims([TRAP]), theatre, "request-1")
    return result, hands.told


def configured(machine: Machine, keep: Path) -> None:
    """Do what is done to the configuration, and nothing else."""
    (aim,) = FIX.aims([TRAP])
    deed = next(iter(FIX.deeds(machine.host, aim)))
    keep.mkdir()
    deed.do(str(machine.root), str(keep))


def test_firewalld_is_told_for_its_next_start_and_the_kernel_now(machine: Machine) -> None:
    _, told = treat(machine)

    assert told[:2] == [
        f"/{CONF} is written: IPv6_rpfilter=no, once firewalld is reloaded",
        f"the filter '{NAME}' is deleted in the host's namespace",
    ]


def test_it_is_achieved_when_the_filter_is_gone_and_does_not_come_back(machine: Machine) -> None:
    (aim,) = FIX.aims([TRAP])
    before = FIX.achieved(machine.host, aim)
    machine.write("netlink/nft-rules.hex", "")
    between = FIX.achieved(machine.host, aim)
    configured(machine, machine.root / "keep")

    assert (before, between, FIX.achieved(machine.host, aim)) == (False, False, True)
    assert machine.read(CONF) == "DefaultZone=public\nIPv6_rpfilter=no\n"
    assert "firewalld.conf for when it is reloaded" in aim.title


def test_a_table_that_firewalld_owns_is_changed_by_its_configuration_alone(
    machine: Machine,
) -> None:
    machine.write("netlink/nft-tables.hex", OWNED)
    (aim,) = FIX.aims([TRAP])
    _, told = treat(machine)

    configured(machine, machine.root / "keep")

    assert not any("is deleted" in deed for deed in told)
    assert FIX.achieved(machine.host, aim)
    result, _ = treat(machine)
    assert (result.end, "reload firewalld" in result.why) == (End.REFUSED, True), result


def test_an_owned_table_without_a_configuration_is_left_alone(machine: Machine) -> None:
    machine.write("netlink/nft-tables.hex", OWNED)
    (machine.root / CONF).unlink()

    result, told = treat(machine)

    assert (result.end, "that owns it" in result.why, told) == (End.REFUSED, True, [])


def test_a_configuration_that_cannot_be_read_is_an_objection(machine: Machine) -> None:
    machine.write("netlink/nft-tables.hex", OWNED)
    machine.write(CONF, "#" * 70_000)

    result, told = treat(machine)

    assert (result.end, "was not read" in result.why, told) == (End.REFUSED, True, [])


def test_firewalld_gets_its_setting_back(machine: Machine) -> None:
    (aim,) = FIX.aims([TRAP])
    configured(machine, machine.root / "keep")
    assert FIX.undo is not None

    for deed in FIX.undo(machine.host, aim):
        deed.do(str(machine.root), str(machine.root / "keep"))

    assert machine.read(CONF) == "DefaultZone=public\nIPv6_rpfilter=yes\n"


@pytest.mark.parametrize(
    ("content", "on"),
    [
        (b"", True),
        (b"IPv6_rpfilter=yes\n", True),
        (b"IPv6_rpfilter=strict\n", True),
        (b"IPv6_rpfilter=no\n", False),
        (b"IPv6_rpfilter = NO\n", False),
        (b"#IPv6_rpfilter=no\n", True),
        (b"IPv6_rpfilter=no\nIPv6_rpfilter=yes\n", False),
    ],
)
def test_the_filter_is_on_unless_it_is_switched_off(content: bytes, *, on: bool) -> None:
    assert firewalld.filters(content) is on


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"A=1\nIPv6_rpfilter=yes\nB=2\n", b"A=1\nIPv6_rpfilter=no\nB=2\n"),
        (b"A=1\n", b"A=1\nIPv6_rpfilter=no\n"),
        (b"A=1", b"A=1\nIPv6_rpfilter=no\n"),
        (b"", b"IPv6_rpfilter=no\n"),
    ],
)
def test_only_its_line_is_changed_or_added(before: bytes, after: bytes) -> None:
    assert firewalld.without_filter(before) == after


@given(LINES)
def test_it_is_off_afterwards_and_all_else_is_as_it_was(lines: list[bytes]) -> None:
    after = firewalld.without_filter(b"\n".join(lines)).split(b"\n")

    assert not firewalld.filters(b"\n".join(after))
    other = [line for line in lines if b"rpfilter" not in line or line.startswith(b"#")]
    assert [line for line in after if line in other and line] == [line for line in other if line]
