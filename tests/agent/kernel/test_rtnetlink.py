from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import netlink, rtnetlink
from kernelhealth_agent.kernel.rtnetlink import Address, Link

NEWLINK, NEWADDR, NEWNSID = 16, 20, 88


def message(kind: int, header: bytes, *attributes: tuple[int, bytes]) -> bytes:
    body = header + b"".join(netlink.attribute(*attribute) for attribute in attributes)
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, 2, 1, 0) + body


def link(index: int, *attributes: tuple[int, bytes]) -> bytes:
    return message(NEWLINK, struct.pack("=BxHiII", 0, 1, index, 0x1003, 0), *attributes)


def address(raw: bytes, *attributes: tuple[int, bytes], family: int | None = None) -> bytes:
    family = family or (2 if len(raw) == 4 else 10)
    return message(NEWADDR, struct.pack("=BBBBI", family, 24, 0, 0, 7), (1, raw), *attributes)


def word(value: int) -> bytes:
    return struct.pack("=i", value)


def test_a_link_is_told_with_where_its_other_end_is() -> None:
    stream = link(
        7,
        (3, b"veth0a1b2c3d\0"),
        (1, bytes.fromhex("020000000001")),
        (5, word(2)),
        (10, word(4)),
        (37, word(3)),
        (18 | 0x8000, netlink.attribute(1, b"veth\0")),
    )

    assert rtnetlink.links(stream, "links") == (
        Link(7, "veth0a1b2c3d", "veth", "02:00:00:00:00:01", 2, 3, 4, None),
    )


def test_a_link_with_nothing_but_an_index_is_a_link() -> None:
    assert rtnetlink.links(link(1), "links") == (Link(1, "", "", "", None, None, None, None),)


def test_the_device_of_a_link_is_told() -> None:
    (found,) = rtnetlink.links(link(2, (3, b"eth0\0"), (56, b"0000:00:05.0\0")), "links")

    assert found.parent == "0000:00:05.0"


def test_other_messages_among_the_links_are_passed_over() -> None:
    stream = address(bytes(4)) + link(2) + message(3, word(0))

    assert [found.index for found in rtnetlink.links(stream, "links")] == [2]


def test_addresses_of_both_families_are_told() -> None:
    near, far = (ipaddress.ip_address(a).packed for a in ("192.0.2.1", "192.0.2.2"))
    stream = (
        address(near) + address(ipaddress.ip_address("fd00::1").packed) + address(far, (2, near))
    )

    assert rtnetlink.addresses(stream, "addresses") == (
        Address(7, "192.0.2.1"),
        Address(7, "fd00::1"),
        Address(7, "192.0.2.1"),
    )


@pytest.mark.parametrize(
    ("raw", "family"), [(b"abc", 2), (bytes(4), 10), (bytes(16), 2), (b"x", 7)]
)
def test_an_address_of_another_form_is_passed_over(raw: bytes, family: int) -> None:
    assert rtnetlink.addresses(address(raw, family=family), "addresses") == ()


def test_ids_are_told_and_minus_one_is_none() -> None:
    stream = b"".join(message(NEWNSID, bytes(4), (1, word(nsid))) for nsid in (0, 7, -1))

    assert rtnetlink.nsids(stream, "nsids") == (0, 7, -1)


@pytest.mark.parametrize(
    "decode", [rtnetlink.links, rtnetlink.addresses], ids=["links", "addresses"]
)
def test_a_message_that_is_cut_short_is_named(decode: object) -> None:
    kind = NEWLINK if decode is rtnetlink.links else NEWADDR

    assert callable(decode)
    with pytest.raises(errors.UnreadableError, match="message of 4 bytes"):
        decode(message(kind, bytes(4)), "netlink x")


kinds = st.sampled_from([NEWLINK, NEWADDR, NEWNSID, 2, 3])
headers = st.sampled_from([b"", bytes(4), bytes(8), bytes(16), b"\x02" + bytes(7)])
attributes = st.lists(
    st.tuples(st.sampled_from([1, 2, 3, 5, 10, 18, 37, 56]), st.binary(max_size=20))
)
streams = st.binary() | st.lists(
    st.builds(lambda k, h, a: message(k, h, *a), kinds, headers, attributes)
).map(b"".join)


@settings(deadline=None)
@given(streams)
def test_any_bytes_are_decoded_or_named(stream: bytes) -> None:
    for decode in (rtnetlink.links, rtnetlink.addresses, rtnetlink.nsids):
        try:
            decode(stream, "netlink x")
        except errors.UnreadableError as error:
            assert error.path == "netlink x"  # noqa: PT017 - Both outcomes are right.


@settings(deadline=None)
@given(st.integers(-1, 2**31 - 1), st.integers(0, 2**32 - 1))
def test_a_question_for_an_id_says_what_it_asks(descriptor: int, sequence: int) -> None:
    asked = rtnetlink.nsid_message(descriptor, sequence)
    length, kind, flags, number, _ = netlink.HEADER.unpack_from(asked)
    body = memoryview(asked)[netlink.HEADER.size + 4 :]

    assert (length, kind, flags, number) == (len(asked), 90, 1, sequence)
    assert bytes(netlink.attributes(body, "x")[3]) == word(descriptor)


def test_questions_about_another_namespace_have_names_and_ids_of_their_own() -> None:
    for ask in (rtnetlink.links_request, rtnetlink.addresses_request):
        here, there = ask(), ask(5)

        assert there.name == f"{here.name}-of-nsid-5"
        assert there.body.startswith(here.body)
        assert there.body.endswith(word(5))
