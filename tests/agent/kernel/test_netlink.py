from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import netlink


def message(kind: int, body: bytes) -> bytes:
    header = netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, 2, 1, 0)
    return header + body + bytes(-len(body) % 4)


bodies = st.lists(st.tuples(st.integers(16, 200), st.binary(max_size=40)))
payloads = st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40)))


@settings(deadline=None)
@given(bodies)
def test_messages_come_back_as_they_were_sent(sent: list[tuple[int, bytes]]) -> None:
    stream = b"".join(message(kind, body) for kind, body in sent)

    found = [(kind, bytes(body)) for kind, body in netlink.messages(stream, "x")]

    assert found == sent


@settings(deadline=None)
@given(payloads)
def test_attributes_come_back_in_order(sent: list[tuple[int, bytes]]) -> None:
    body = memoryview(b"".join(netlink.attribute(kind, payload) for kind, payload in sent))

    assert [(kind, bytes(p)) for kind, p in netlink.listed(body, "x")] == sent
    assert {kind: bytes(p) for kind, p in netlink.attributes(body, "x").items()} == dict(sent)


def test_flags_of_an_attribute_are_not_its_type() -> None:
    body = memoryview(
        netlink.attribute(18 | 0x8000, b"nested") + netlink.attribute(5 | 0x4000, b"")
    )

    assert set(netlink.attributes(body, "x")) == {18, 5}


@pytest.mark.parametrize("length", [0, 15, 17, 1 << 31])
def test_a_length_that_cannot_be_is_named_after_what_came_before(length: int) -> None:
    stream = message(16, b"good") + netlink.HEADER.pack(length, 16, 2, 1, 0)
    found = netlink.messages(stream, "netlink links")

    assert next(found)[0] == 16
    with pytest.raises(errors.UnreadableError, match=r"^netlink links .* byte 20 claims"):
        next(found)


def test_a_header_that_is_cut_off_is_named() -> None:
    with pytest.raises(errors.UnreadableError, match="3 bytes are no message"):
        list(netlink.messages(b"\x14\0\0", "netlink links"))


@pytest.mark.parametrize("read", [netlink.attributes, netlink.listed])
@pytest.mark.parametrize("length", [0, 3, 9])
def test_an_attribute_of_a_wrong_length_is_named(read: object, length: int) -> None:
    body = memoryview(struct.pack("=HH", length, 7) + b"abcd")

    assert callable(read)
    with pytest.raises(errors.UnreadableError, match=f"type 7 claims {length} bytes"):
        list(read(body, "netlink links"))


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_messages_and_attributes_or_are_named(stream: bytes) -> None:
    readers: tuple[Any, ...] = (netlink.attributes, netlink.listed, netlink.messages)
    for read in readers:
        try:
            list(read(memoryview(stream), "x"))
        except errors.UnreadableError as error:
            assert error.path == "x"  # noqa: PT017 - Both outcomes are right.


def test_a_text_ends_at_its_first_nul() -> None:
    assert netlink.text(memoryview(b"eth0\0junk")) == "eth0"
    assert netlink.text(memoryview(b"eth0")) == "eth0"
    assert netlink.text(None) is None


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_number_is_read_with_and_without_a_sign(value: int) -> None:
    raw = memoryview(struct.pack("=I", value))

    assert netlink.number(raw, "x") == value
    assert netlink.number(raw, "x", signed=True) == (value ^ 2**31) - 2**31


@pytest.mark.parametrize("size", [0, 1, 2, 8])
def test_a_number_of_another_size_is_named(size: int) -> None:
    with pytest.raises(errors.UnreadableError, match=f"a number of {size} bytes instead of 4"):
        netlink.number(memoryview(bytes(size)), "x")
