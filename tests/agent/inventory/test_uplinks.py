"""A node that is a container itself has an uplink into a namespace that it cannot see."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelhealth_agent import uplinks
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel import default_routes
from kernelhealth_agent.kernel.rtnetlink import Link

IPV4 = b"""\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
veth1a2b\t0302F40A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
"""
IPV6 = b"""\
00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
fc00f853ccd2e7930000000000000001 00000400 00000001 00000000 00000003     eth1
00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
"""


def link(name: str, peer_nsid: int | None) -> Link:
    return Link(2, name, "veth", "02:42:ac:12:00:02", 7, peer_nsid, None, None)


@pytest.fixture
def node(tmp_path: Path) -> RecordedHost:
    routes = tmp_path / "proc/1/net"
    routes.mkdir(parents=True)
    (routes / "route").write_bytes(IPV4)
    (routes / "ipv6_route").write_bytes(IPV6)
    return RecordedHost(str(tmp_path))


def test_the_default_routes_interfaces_are_told_and_no_others() -> None:
    assert default_routes.ipv4(IPV4) == {"eth0"}
    assert default_routes.ipv6(IPV6) == {"eth1"}


def test_the_namespace_around_the_node_is_outside(node: RecordedHost) -> None:
    links = (link("eth0", 0), link("eth1", 4), link("veth1a2b", 1), link("lo", None))

    assert uplinks.outside(node, links) == {0, 4}


def test_the_other_end_of_a_pods_link_is_not_outside(node: RecordedHost) -> None:
    assert uplinks.outside(node, (link("veth1a2b", 1), link("eth0", None))) == frozenset()


def test_a_node_without_routes_has_no_outside(tmp_path: Path) -> None:
    assert uplinks.outside(RecordedHost(str(tmp_path)), (link("eth0", 0),)) == frozenset()


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_name_no_interface_that_is_not_there(text: bytes) -> None:
    words = set(text.decode(errors="replace").split())

    assert default_routes.ipv4(text) <= words
    assert default_routes.ipv6(text) <= words
