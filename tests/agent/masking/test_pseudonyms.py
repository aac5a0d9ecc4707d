from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import masked_netlink, masked_text
from kernelhealth_agent.kernel.pseudonyms import Pseudonyms

MASK = Pseudonyms(b"key")
TEXT = masked_text.Mask(MASK, {"cart-7": "xkrq-3"}, {"0123456789a": "a9876543210"})
V4 = st.binary(min_size=4, max_size=4)
V6 = st.binary(min_size=16, max_size=16)


def common(first: bytes, second: bytes) -> int:
    """How many bits two addresses have in common at their beginning."""
    different = int.from_bytes(first, "big") ^ int.from_bytes(second, "big")
    return len(first) * 8 - different.bit_length()


@given(V4 | V6)
def test_an_address_stays_one_of_its_kind(raw: bytes) -> None:
    made = ipaddress.ip_address(MASK.address(raw))

    assert made.version == ipaddress.ip_address(raw).version
    assert made.is_multicast == ipaddress.ip_address(raw).is_multicast
    assert made.is_loopback == ipaddress.ip_address(raw).is_loopback


@given(st.integers(0, (1 << 24) - 1), st.integers(0, (1 << 24) - 1))
def test_what_was_in_one_subnet_stays_in_one(first: int, second: int) -> None:
    one, two = (10 << 24 | first).to_bytes(4, "big"), (10 << 24 | second).to_bytes(4, "big")

    assert common(MASK.address(one), MASK.address(two)) == common(one, two)


@given(st.binary(min_size=6, max_size=6))
def test_a_hardware_address_stays_a_group_or_a_local_one(raw: bytes) -> None:
    assert MASK.hardware(raw)[0] & 3 == raw[0] & 3


@given(st.text())
def test_a_word_keeps_its_form(text: str) -> None:
    made = MASK.word(text)

    assert len(made) == len(text)
    assert [c for c in made if not c.isascii() or not c.isalnum()] == [
        c for c in text if not c.isascii() or not c.isalnum()
    ]


@pytest.mark.parametrize("protocol", [0, 4, 12, 99])
@given(raw=st.binary(max_size=300))
def test_any_bytes_are_masked_or_refused(protocol: int, raw: bytes) -> None:
    names = masked_netlink.Names(MASK, TEXT.link)
    try:
        made = masked_netlink.masked(raw, protocol, names, "netlink/x.hex")
    except errors.UnreadableError:
        return
    assert made == masked_netlink.masked(raw, protocol, names, "netlink/x.hex")


@given(st.text(max_size=200))
def test_any_text_is_masked(text: str) -> None:
    for path in ("proc/1/mountinfo", "proc/1/net/route", "proc/1/net/tcp", "var/lib/x", "run/y"):
        TEXT.content(path, text.encode(errors="surrogatepass"))


@pytest.mark.parametrize(
    ("path", "text", "kept"),
    [
        ("proc/version", "Linux version 6.1.0 #1 12:30:15", "Linux version 6.1.0 #1 12:30:15"),
        ("proc/1/mountinfo", "9 8 0:4 net:[4026532178] /run/netns/a rw - nsfs nsfs rw\n", None),
        ("proc/1/net/route", "eth0\t00000000\t0100000A\t0003\n", "eth0\t00000000\t"),
        ("proc/1/net/sockstat", "FRAG6: inuse 0 memory 0\n", "FRAG6: inuse 0 memory 0\n"),
        ("var/lib/x", "cart-7 and cart-70", "xkrq-3 and cart-70"),
        ("var/lib/x", "eni0123456789a", "enia9876543210"),
    ],
)
def test_what_is_no_secret_stays(path: str, text: str, kept: str | None) -> None:
    made = TEXT.content(path, text.encode()).decode()

    assert made.startswith(text if kept is None else kept)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("run/x", "10.1.2.3"),
        ("run/x", "fe80::aabb:ccff:fe00:1"),
        ("run/x", "aa:bb:cc:dd:ee:01"),
        ("proc/1/net/tcp", " 0: 0302010A:1F90 0402010A:0050 01"),
        ("proc/1/net/ipv6_route", "fd00000000000000000000000000aa01 80 " + "0" * 32 + " 00"),
        ("proc/1/mountinfo", "9 8 0:4 /exports/acme /data/acme rw - nfs4 nas:/acme rw,addr=1\n"),
        ("var/log/pods/acme_cart-7_1/app/0.log", "cart-7"),
    ],
)
def test_what_is_a_secret_goes(path: str, text: str) -> None:
    made = TEXT.content(path, text.encode()).decode()

    for secret in ("10.1.2.3", "fe80::aabb", "aa:bb:cc", "0302010A", "aa01", "acme", "cart-7"):
        assert secret not in made
