"""Routes and rules, decoded from what the kernel sends."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import netlink, routing
from kernelhealth_agent.kernel.routing import HostRoute, Rule

ROUTE, RULE = 24, 32


def message(kind: int, header: bytes, *attributes: tuple[int, bytes]) -> bytes:
    body = header + b"".join(netlink.attribute(*attribute) for attribute in attributes)
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, 2, 1, 0) + body


def route(
    address: str, *more: tuple[int, bytes], bits: int = 0, table: int = 254, form: int = 1
) -> bytes:
    raw = ipaddress.ip_address(address).packed
    family = 2 if len(raw) == 4 else 10
    header = struct.pack("=8BI", family, bits or 8 * len(raw), 0, 0, table, 3, 253, form, 0)
    return message(ROUTE, header, (1, raw), (4, struct.pack("=I", 7)), *more)


def test_a_route_to_one_address_over_a_link_is_a_host_route_in_both_families() -> None:
    stream = route("10.244.0.9") + route("fd00::9")

    assert routing.host_routes(stream, "routes") == (
        HostRoute("10.244.0.9", 7),
        HostRoute("fd00::9", 7),
    )


@pytest.mark.parametrize(
    "stream",
    [
        route("10.244.0.0", bits=24),
        route("10.244.0.9", (5, ipaddress.ip_address("10.0.0.1").packed)),
        route("10.244.0.9", table=255, form=2),
        route("10.244.0.9", (15, struct.pack("=I", 1007))),
        route("10.244.0.9", form=6),
    ],
    ids=["a prefix", "over a gateway", "a local one", "of another table", "a blackhole"],
)
def test_other_routes_are_none(stream: bytes) -> None:
    assert routing.host_routes(stream, "routes") == ()


def test_rules_read_as_ip_rule_prints_them() -> None:
    raw = ipaddress.ip_address("10.0.7.9").packed
    to = struct.pack("=8BI", 2, 32, 0, 0, 254, 0, 0, 1, 0)
    source = struct.pack("=8BI", 2, 0, 32, 0, 0, 0, 0, 1, 0)
    stream = message(RULE, to, (1, raw), (6, struct.pack("=I", 512))) + message(
        RULE, source, (2, raw), (6, struct.pack("=I", 1536)), (15, struct.pack("=I", 1007))
    )

    found = routing.rules(stream, "rules")

    assert found == (Rule(512, 254, None, "10.0.7.9"), Rule(1536, 1007, "10.0.7.9", None))
    assert [str(rule) for rule in found] == [
        "512: from all to 10.0.7.9 lookup main",
        "1536: from 10.0.7.9 lookup 1007",
    ]


def test_a_rule_for_all_but_an_address_is_not_of_that_address() -> None:
    raw = ipaddress.ip_address("10.0.7.9").packed
    inverted = struct.pack("=8BI", 2, 0, 32, 0, 254, 0, 0, 1, 2)

    found = routing.rules(message(RULE, inverted, (2, raw), (6, struct.pack("=I", 9))), "rules")

    assert found == (Rule(9, 254, None, None),)


attributes = st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=20)))
headers = st.sampled_from([bytes([2, 32, 32, 0, 254, 0, 0, 1, 0, 0, 0, 0]), b"", bytes(12)])


@given(st.binary() | st.builds(lambda h, a: message(ROUTE, h, *a), headers, attributes))
def test_any_bytes_give_routes_or_name_the_request(stream: bytes) -> None:
    try:
        found = routing.host_routes(stream, "netlink routes")
    except errors.UnreadableError as error:
        assert error.path == "netlink routes"  # noqa: PT017 - Both outcomes are right.
    else:
        assert all(ipaddress.ip_address(route.address) for route in found)


@given(st.binary() | st.builds(lambda h, a: message(RULE, h, *a), headers, attributes))
@example(message(RULE, bytes(12), (1, b"")))
def test_any_bytes_give_rules_or_name_the_request(stream: bytes) -> None:
    try:
        found = routing.rules(stream, "netlink rules")
    except errors.UnreadableError as error:
        assert error.path == "netlink rules"  # noqa: PT017 - Both outcomes are right.
    else:
        assert all("lookup" in str(rule) for rule in found)
