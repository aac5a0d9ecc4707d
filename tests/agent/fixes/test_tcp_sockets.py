"""One TCP socket on the wire, and what an aim is in the journal."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from kernelhealth_agent import errors
from kernelhealth_agent.fix import Aim
from kernelhealth_agent.kernel import netlink, tcp_sockets
from kernelhealth_agent.kernel.tcp_sockets import Ends
from kernelhealth_api.detector import Observation, Reason, Severity, Subject

ENDS = Ends("192.0.2.1", 4711, "192.0.2.2", 80)
REASON = Reason("ConnectionStuckInPersist", Severity.WARNING, "It waits for ever.")


def message(body: bytes, kind: int = tcp_sockets.BY_FAMILY) -> bytes:
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, 0, 1, 0) + body


@given(st.binary(max_size=256))
def test_any_bytes_are_a_socket_or_none_or_an_error_of_ours(body: bytes) -> None:
    for stream in (body, message(body)):
        try:
            tcp_sockets.answer(stream, "netlink tcp")
        except errors.UnreadableError:
            continue


def test_a_socket_is_told_with_its_numbers() -> None:
    tail = struct.pack("=QIIIII", 77, 0, 5, 9, 1000, 4242)
    info = bytearray(136)
    struct.pack_into("=I", info, 24, 3)
    struct.pack_into("=Q", info, 120, 1 << 33)
    body = bytes([2, 1, 4, 0]) + bytes(40) + tail + netlink.attribute(2, bytes(info))

    found = tcp_sockets.answer(message(body), "netlink tcp")

    assert found is not None
    assert (found.cookie, found.inode, found.state, found.timer) == (77, 4242, 1, 4)
    assert (found.unread, found.unsent, found.unacked, found.acked) == (5, 9, 3, 1 << 33)


def test_an_older_kernel_tells_less() -> None:
    body = bytes([2, 1, 4, 0]) + bytes(40) + struct.pack("=QIIIII", 77, 0, 5, 9, 1000, 4242)

    found = tcp_sockets.answer(message(body), "netlink tcp")

    assert found is not None
    assert found.acked is None


@pytest.mark.parametrize(
    ("near", "far", "family"), [("192.0.2.1", "192.0.2.2", 2), ("2001:db8::1", "2001:db8::2", 10)]
)
def test_a_question_is_as_long_as_the_kernel_wants_and_has_both_ends(
    near: str, far: str, family: int
) -> None:
    body = tcp_sockets.selector(Ends(near, 4711, far, 80), (7 << 32) + 5)

    size = len(ipaddress.ip_address(near).packed)
    assert len(body) == 56
    assert body[0] == family
    assert body[8:12] == struct.pack(">HH", 4711, 80)
    assert body[12 : 12 + size] == ipaddress.ip_address(near).packed
    assert body[28 : 28 + size] == ipaddress.ip_address(far).packed
    assert struct.unpack_from("=III", body, 44) == (0, 5, 7)


def test_the_peer_has_the_same_ends_the_other_way_round() -> None:
    assert ENDS.turned.turned == ENDS
    assert ENDS.turned.peer_port == 4711


def test_what_a_cure_has_to_know_survives_the_journal() -> None:
    known: dict[str, str | int] = {"local": "192.0.2.1", "localPort": 4711, "cookie": (1 << 63) + 1}
    observation = Observation(REASON, "x", Subject(), "x", cures=("DestroySocket",), aim=known)
    adapter = TypeAdapter(Aim)

    again = adapter.validate_json(adapter.dump_json(Aim("x", "x", observation)))

    assert again.observation.aim == known
