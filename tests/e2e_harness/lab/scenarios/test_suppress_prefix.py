"""What the scenario suppress_prefix sends, counts and concludes."""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

import pytest

from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.scenarios.suppress_prefix import evidence
from kernelhealth_e2e.lab.scenarios.suppress_prefix.pod import Count
from kernelhealth_e2e.lab.scenarios.suppress_prefix.workloads import gateway

ROUTES = "0009 0006 9c4c 000c 0000 4e58 0000"
POD = "shop/vpn"


def test_what_a_peer_sends_is_ipv6_with_a_checksum_that_is_right() -> None:
    packet = gateway.packet()

    words = struct.unpack(">20H", packet[:40])
    ends = (packet[8:24], packet[24:40])
    datagram = packet[40:] + b"\0" * (len(packet) % 2)
    total = sum(struct.unpack(f">{len(datagram) // 2}H", datagram)) + sum(words[4:])
    total += words[2] + packet[6]
    assert [str(ipaddress.IPv6Address(end)) for end in ends] == [gateway.PEER, gateway.GATEWAY]
    assert words[2] == len(packet) - 40
    assert total % 0xFFFF == 0


def test_an_attribute_is_padded_and_says_its_own_length() -> None:
    made = gateway.text(1, "ip6")

    assert made == struct.pack("=HH", 8, 1) + b"ip6\0"
    assert gateway.text(1, "fib6") == struct.pack("=HH", 9, 1) + b"fib6\0\0\0\0"


def test_the_counters_are_read_as_the_kernel_writes_them() -> None:
    counted = Count.read(f"20000\n{ROUTES}\n20056 N0=20056\n")

    assert counted == Count(20000, 0x4E58, 20056)


@pytest.mark.parametrize("shown", ["", f"{ROUTES}\n20056\n", "1\n2\n3\n", f"1\n{ROUTES}\n"])
def test_counters_that_are_something_else_are_refused(shown: str) -> None:
    with pytest.raises(HarnessError, match="cannot be read"):
        Count.read(shown)


@pytest.mark.parametrize(
    ("grown", "leaks", "is_silent"),
    [
        (Count(20000, 20056, 20300), True, False),
        (Count(20000, 3, -40), False, True),
        (Count(20000, 20056, 40), False, False),
        (Count(20000, 9000, 9000), False, False),
    ],
)
def test_a_leak_is_an_object_with_each_packet(
    grown: Count, *, leaks: bool, is_silent: bool
) -> None:
    assert evidence.leaks(grown) is leaks
    assert evidence.is_silent(grown) is is_silent


def health(**changes: Any) -> dict[str, Any]:
    trap = {
        "reason": evidence.TRAP,
        "severity": "Warning",
        "cause": evidence.CAUSE,
        "subject": {"pod": POD},
        "message": f"Pod {POD} has '{evidence.RULE}' together with '{evidence.FILTER} 2: fib'",
        **changes,
    }
    return {"status": {"findings": [trap]}}


def test_a_trap_with_rule_filter_and_pod_is_named() -> None:
    said = evidence.named(health(), POD, "Warning")

    assert said.startswith(f"Warning {evidence.TRAP} of {POD}: ")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"subject": {}}, "names None"),
        ({"severity": "Info"}, "is Info and not Warning"),
        ({"cause": None}, "the cause"),
        ({"message": evidence.RULE}, "does not name"),
    ],
)
def test_a_trap_that_lacks_something_is_complained_of(
    changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(HarnessError, match=complaint):
        evidence.named(health(**changes), POD, "Warning")
