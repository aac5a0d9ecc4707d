from __future__ import annotations

import contextlib
import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import (
    modules,
    netlink,
    nftables,
    policy_rules,
    route_growth,
    rt6_stats,
    rule_installers,
    slab_aliases,
    suppress_prefix,
)
from kernelhealth_agent.kernel.modules import Presence
from kernelhealth_agent.kernel.rt6_stats import RouteObjects
from kernelhealth_agent.kernel.rule_installers import Installer

PATH = "proc/1/x"
INET6, INET = 10, 2


def message(kind: int, body: bytes) -> bytes:
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, 0, 1, 0) + body


def rule(
    *attributes: tuple[int, bytes], family: int = INET6, lengths: tuple[int, int] = (0, 0)
) -> bytes:
    body = struct.pack("=BBBBBBBBI", family, *lengths, 0, 254, 0, 0, 1, 0)
    return message(32, body + b"".join(netlink.attribute(*a) for a in attributes))


def u32(value: int) -> bytes:
    return struct.pack("=I", value & 0xFFFFFFFF)


def test_a_rule_is_printed_as_ip_prints_it() -> None:
    network = ipaddress.IPv6Address("fd00::").packed
    stream = rule(
        (2, network), (3, b"wg0\0"), (6, u32(7)), (10, u32(0xCA6C)), (14, u32(0)), lengths=(0, 8)
    )

    (found,) = policy_rules.suppressing(stream, PATH)

    assert found.text == (
        "7: from fd00::/8 fwmark 0xca6c iif wg0 lookup main suppress_prefixlength 0"
    )


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(rule((14, u32(-1))), id="minus one is none"),
        pytest.param(rule((6, u32(0))), id="no attribute"),
        pytest.param(rule((14, u32(0)), family=INET), id="IPv4"),
        pytest.param(message(33, bytes(12)), id="another message"),
        pytest.param(b"", id="no rule"),
    ],
)
def test_other_rules_are_left_out(stream: bytes) -> None:
    assert policy_rules.suppressing(stream, PATH) == ()


def test_a_length_of_more_than_zero_suppresses_too() -> None:
    (found,) = policy_rules.suppressing(rule((14, u32(56)), (15, u32(51820))), PATH)

    assert found.text == "0: from all lookup 51820 suppress_prefixlength 56"


@given(st.binary() | st.binary(max_size=64).map(lambda b: message(32, b"\x0a" + b)))
def test_any_rules_give_rules_or_say_what_is_wrong(stream: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        assert all(found.suppress >= 0 for found in policy_rules.suppressing(stream, PATH))


def expression(name: str, *data: tuple[int, bytes]) -> bytes:
    inside = b"".join(netlink.attribute(*a) for a in data)
    name_and_data = netlink.attribute(1, name.encode() + b"\0") + netlink.attribute(2, inside)
    return netlink.attribute(1, name_and_data)


def nft(*expressions: bytes, family: int = INET6) -> bytes:
    body = struct.pack("=BBH", family, 0, 0)
    body += netlink.attribute(1, b"filter\0") + netlink.attribute(2, b"prerouting\0")
    body += netlink.attribute(3, (4).to_bytes(8, "big"))
    return message(0x0A06, body + netlink.attribute(4, b"".join(expressions)))


NFPROTO = expression("meta", (2, (15).to_bytes(4, "big")), (1, (1).to_bytes(4, "big")))


def compared(protocol: int, operation: int = 0) -> bytes:
    value = netlink.attribute(1, bytes([protocol]))
    return expression("cmp", (2, operation.to_bytes(4, "big")), (3, value))


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        pytest.param(nft(expression("fib")), "ip6 filter prerouting handle 4 (fib)", id="ip6"),
        pytest.param(
            nft(expression("fib"), family=1), "inet filter prerouting handle 4 (fib)", id="inet"
        ),
        pytest.param(
            nft(NFPROTO, compared(10), expression("fib"), family=1),
            "inet filter prerouting handle 4 (fib)",
            id="inet for IPv6",
        ),
        pytest.param(
            nft(NFPROTO, compared(2, operation=1), expression("fib"), family=1),
            "inet filter prerouting handle 4 (fib)",
            id="inet for all but IPv4",
        ),
        pytest.param(
            nft(expression("match", (1, b"rpfilter\0"))),
            "ip6 filter prerouting handle 4 (rpfilter)",
            id="ip6tables over nftables",
        ),
    ],
)
def test_a_route_lookup_is_found(stream: bytes, text: str) -> None:
    (found,) = nftables.fib_users(stream, PATH)

    assert found.text == text


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(nft(expression("counter")), id="no lookup"),
        pytest.param(nft(expression("fib"), family=INET), id="an IPv4 table"),
        pytest.param(nft(NFPROTO, compared(2), expression("fib"), family=1), id="inet for IPv4"),
        pytest.param(nft(expression("match", (1, b"comment\0"))), id="another match"),
    ],
)
def test_what_looks_up_no_ipv6_route_is_left_out(stream: bytes) -> None:
    assert nftables.fib_users(stream, PATH) == ()


@given(st.binary() | st.binary(max_size=64).map(lambda b: message(0x0A06, b + b"fib\0")))
def test_any_filter_rules_give_users_or_say_what_is_wrong(stream: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        assert nftables.fib_users(stream + b"", PATH) is not None


def test_route_objects_of_routes_processors_and_sockets_are_explained() -> None:
    objects = rt6_stats.route_objects(b"0009 0006 000a 0007 0002 1000 0000\n", 4, PATH)

    assert objects == RouteObjects(total=0x1000, explained=7 * 5 + 2)
    assert objects.unexplained == 0x1000 - 37


def test_fewer_objects_than_explained_are_no_debt() -> None:
    assert RouteObjects(total=3, explained=10).unexplained == 0


def test_a_name_with_escapes_or_without_end_cannot_spoil_a_message() -> None:
    body = struct.pack("=BBH", INET6, 0, 0) + netlink.attribute(1, b"\x1b[2J\n\xff\0")
    body += netlink.attribute(2, b"c" * 200 + b"\0") + netlink.attribute(4, expression("fib"))

    (found,) = nftables.fib_users(message(0x0A06, body), PATH)

    assert found.table.isprintable()
    assert found.table.startswith(r"\x1b[2J\n")
    assert found.chain == "c" * 63 + "…"


def test_growth_is_that_of_the_unexplained() -> None:
    before, now = RouteObjects(1000, 100), RouteObjects(2000, 900)

    assert rt6_stats.growth(before, now) == 200


@pytest.mark.parametrize("content", [b"", b"1 2 3", b"1 2 3 4 5 zz 7", b"\xff" * 20])
def test_statistics_that_cannot_be_name_the_file(content: bytes) -> None:
    with pytest.raises(errors.UnreadableError, match=f"^{PATH}:1 cannot be understood"):
        rt6_stats.route_objects(content, 4, PATH)


@given(st.binary())
def test_any_statistics_give_numbers_or_say_what_is_wrong(content: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        assert rt6_stats.route_objects(content, 4, PATH).unexplained >= 0
    with contextlib.suppress(errors.UnreadableError):
        assert isinstance(rt6_stats.processors(content, PATH), int)
    assert rt6_stats.sockets(content) >= 0


def test_sockets_of_all_protocols_count_but_not_fragments() -> None:
    text = b"TCP6: inuse 3\nUDP6: inuse 40\nRAW6: inuse 1\nFRAG6: inuse 0 memory 0\n"

    assert rt6_stats.sockets(text) == 44


@pytest.mark.parametrize(("text", "number"), [(b"0\n", 1), (b"0-3\n", 4), (b"0,2-7\n", 8)])
def test_processors_are_counted_to_the_last(text: bytes, number: int) -> None:
    assert rt6_stats.processors(text, PATH) == number


@pytest.mark.parametrize(
    ("loaded", "builtin", "presence"),
    [
        pytest.param(None, None, Presence.THERE, id="no modules in this kernel: nothing can load"),
        pytest.param({"nf_tables": 3}, None, Presence.THERE, id="loaded"),
        pytest.param({}, frozenset({"nf_tables"}), Presence.THERE, id="built in"),
        pytest.param({}, frozenset({"xfs"}), Presence.MISSING, id="neither"),
        pytest.param({"xfs": 1}, None, Presence.UNKNOWN, id="not loaded, nobody knows the rest"),
    ],
)
def test_a_module_is_there_or_not_or_unknown(
    loaded: dict[str, int] | None, builtin: frozenset[str] | None, presence: Presence
) -> None:
    assert modules.presence("nf_tables", loaded, builtin) is presence


def test_modules_are_read_with_their_users() -> None:
    text = b"ip6t_rpfilter 16384 2 - Live 0x0\nnf_tables 1 - - Live 0x0\n"

    assert modules.loaded(text, PATH) == {"ip6t_rpfilter": 2, "nf_tables": -1}


def test_a_builtin_module_is_known_by_the_name_of_its_file() -> None:
    assert modules.builtin(b"kernel/net/netfilter/nf-tables.ko\n") == {"nf_tables"}


@given(st.binary())
def test_any_modules_give_a_table_or_say_what_is_wrong(content: bytes) -> None:
    assert isinstance(modules.builtin(content), frozenset)
    with contextlib.suppress(errors.UnreadableError):
        assert all(users >= -1 for users in modules.loaded(content, PATH).values())


def test_merged_caches_are_named() -> None:
    links = {"ip6_dst_cache": ":256", "pool_workqueue": ":256", "dentry": ":192"}

    assert slab_aliases.merged("ip6_dst_cache", links) == ("pool_workqueue",)
    assert slab_aliases.merged("absent", links) == ()


DEBIAN = "Linux version {} (x) (gcc) #1 SMP Debian {} (2022-09-02)"


@pytest.mark.parametrize(
    ("release", "version", "signature", "affected"),
    [
        ("5.3.18-lp152", "", "", False),
        ("5.4.100", "", "", True),
        ("5.4.164", "", "", False),
        ("5.8.0", "", "", True),
        ("5.10.84", "", "", False),
        ("5.14.21-150500.55.52-default", "", "", True),
        ("5.15.7", "", "", False),
        ("6.1.0-45-amd64", "", "", False),
        ("5.10.0-18-amd64", DEBIAN.format("5.10.0-18-amd64", "5.10.140-1"), "", False),
        ("5.10.0-9-amd64", DEBIAN.format("5.10.0-9-amd64", "5.10.70-1"), "", True),
        ("5.15.0-91-generic", "", "Ubuntu 5.15.0-91.101-generic 5.15.131", False),
        ("mainline", "", "", True),
    ],
)
def test_the_release_is_a_hint(
    release: str, version: str, signature: str, *, affected: bool
) -> None:
    assert suppress_prefix.affected(release, version, signature) is affected


def installers(directory: str, name: str, text: str) -> list[Installer]:
    (place,) = [place for place in rule_installers.PLACES if place.directory == directory]
    return list(rule_installers.evidence(place, name, text.encode()))


@pytest.mark.parametrize(
    ("directory", "text", "lines"),
    [
        ("etc/wireguard", "[Peer]\nAllowedIPs = 0.0.0.0/0, ::/0\n", [2]),
        ("etc/wireguard", "Table = off\n[Peer]\nAllowedIPs = ::/0\n", []),
        ("etc/wireguard", "# AllowedIPs = ::/0\nAllowedIPs = fd00::/8\n", []),
        ("etc/systemd/network", "[RoutingPolicyRule]\nSuppressPrefixLength=0\n", [2]),
        ("etc/wireguard", "\n" * 65536, []),
        ("etc/firewalld", "IPv6_rpfilter=strict\n", [1]),
        ("etc/firewalld", "# IPv6_rpfilter=yes\nIPv6_rpfilter=no\n", []),
        (
            "etc/NetworkManager/system-connections",
            "routing-rule1=priority 5 from ::/0 suppress_prefixlength 0\n",
            [1],
        ),
    ],
)
def test_the_line_that_sets_it_up_is_found(directory: str, text: str, lines: list[int]) -> None:
    found = installers(directory, "x", text)

    assert [installer.file for installer in found] == [f"/{directory}/x:{n}" for n in lines]


@pytest.mark.parametrize(
    ("directory", "name", "text", "program"),
    [
        ("etc/wireguard", "wg0.conf", "AllowedIPs = ::/0", "wg-quick"),
        ("etc/netplan", "01.yaml", "  suppress-prefix-length: 0", "Netplan"),
        (
            "etc/netplan",
            "50-cloud-init.yaml",
            "suppress-prefix-length: 0",
            "cloud-init through Netplan",
        ),
        (
            "run/systemd/network",
            "10-netplan-eth0.network",
            "SuppressPrefixLength=0",
            "Netplan through systemd-networkd",
        ),
        (
            "run/NetworkManager/system-connections",
            "netplan-eth0.nmconnection",
            "routing-rule1=suppress_prefixlength 0",
            "Netplan through NetworkManager",
        ),
        ("etc/cloud/cloud.cfg.d", "90_azure.cfg", "suppress_prefix_length: 0", "cloud-init"),
        ("etc/firewalld", "firewalld.conf", "IPv6_rpfilter=yes", "firewalld"),
    ],
)
def test_who_installed_it_is_known_by_the_file(
    directory: str, name: str, text: str, program: str
) -> None:
    (found,) = installers(directory, name, text)

    assert found.program == program


@pytest.mark.parametrize(
    ("companion", "protocol", "wireguards", "text"),
    [
        ("not from all fwmark 0xca6c lookup 51820", 0, ("wg0",), "wg-quick for wg0 (rule 'not fr"),
        ("not from all fwmark 0xca6c lookup 51820", 0, (), "wg-quick, or alike (rule"),
        (None, 4, (), "a network configuration"),
        (None, 0, ("wg0",), None),
    ],
)
def test_who_installed_it_is_known_by_the_rule(
    companion: str | None, protocol: int, wireguards: tuple[str, ...], text: str | None
) -> None:
    found = rule_installers.by_rule(companion, protocol, wireguards)

    assert (found and found.text.startswith(text or "?")) is (None if text is None else True)


@given(st.sampled_from(rule_installers.PLACES), st.text(), st.binary())
def test_any_file_has_evidence_or_none(
    place: rule_installers.Place, name: str, content: bytes
) -> None:
    for found in rule_installers.evidence(place, name, content):
        assert found.file is not None


def test_the_rule_that_stands_beside_tells_wg_quick() -> None:
    mark = ((6, u32(32764)), (10, u32(51820)), (15, u32(51820)), (16, u32(0xFFFFFFFF)))
    unmarked = struct.pack("=BBBBBBBBI", INET6, 0, 0, 0, 0, 0, 0, 1, 2)
    beside = message(32, unmarked + b"".join(netlink.attribute(*a) for a in mark))
    other = message(32, unmarked + netlink.attribute(10, u32(7)) + netlink.attribute(15, u32(8)))

    (found,) = policy_rules.suppressing(rule((14, u32(0)), (21, b"\x04")) + beside, PATH)
    (alone,) = policy_rules.suppressing(rule((14, u32(0))) + other, PATH)

    assert found.companion == "not from all fwmark 0xca6c lookup 51820"
    assert found.protocol == 4
    assert (alone.companion, alone.protocol) == (None, 0)


def test_growth_is_remembered_of_those_that_have_many() -> None:
    past = None
    for look in range(40):
        past = route_growth.updated(past, 120.0 * look, {1: 1000 + 50 * look, 2: 3})

    assert past is not None
    (series,) = past.series
    assert series.inode == 1
    assert len(series.points) <= 24
    assert series.points[0] == route_growth.Point(0.0, 1000)
    assert series.trend is not None
    assert series.trend.slope == pytest.approx(50 / 120)


def test_what_was_freed_begins_anew() -> None:
    past = route_growth.updated(None, 0.0, {1: 10_000})

    now = route_growth.updated(past, 120.0, {1: 1000})

    assert now.series[0].points == (route_growth.Point(120.0, 1000),)


def test_only_so_many_namespaces_are_remembered() -> None:
    now = route_growth.updated(None, 0.0, {inode: 1000 + inode for inode in range(500)})

    assert len(now.series) == 128
    assert min(series.inode for series in now.series) == 372


@given(
    st.lists(st.tuples(st.floats(0, 1e9), st.dictionaries(st.integers(), st.integers(0, 1 << 40))))
)
def test_any_looks_give_series(looks: list[tuple[float, dict[int, int]]]) -> None:
    past = None
    for uptime, counts in looks:
        past = route_growth.updated(past, uptime, counts)
        for series in past.series:
            assert series.trend is None or series.trend.samples == len(series.points)
