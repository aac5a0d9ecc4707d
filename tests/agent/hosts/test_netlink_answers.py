"""The end of netlink answers, and the order of many answers, decoded from bytes."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import live, sockets
from kernelhealth_agent.kernel import netlink

NEWLINK, NEWNSID = 16, 88


def message(kind: int, body: bytes = b"", flags: int = 2, sequence: int = 1) -> bytes:
    size = netlink.HEADER.size + len(body)
    return netlink.HEADER.pack(size, kind, flags, sequence, 0) + body + bytes(-len(body) % 4)


def word(value: int) -> bytes:
    return struct.pack("=i", value)


def test_an_answer_ends_where_its_closing_message_starts() -> None:
    part = message(NEWLINK, b"one") + message(NEWLINK, b"two")

    assert sockets._closing(part + message(netlink.DONE, word(0)), "x") == (len(part), False)
    assert sockets._closing(part, "x") == (len(part), False)
    assert sockets._closing(b"", "x") == (0, False)


def test_an_answer_during_which_the_list_changed_is_torn() -> None:
    part = message(NEWLINK, b"one", flags=2 | netlink.INTERRUPTED) + message(NEWLINK, b"two")

    assert sockets._closing(part, "x") == (len(part), True)


@pytest.mark.parametrize("kind", [netlink.ERROR, netlink.DONE])
def test_an_error_in_place_of_the_end_is_raised(kind: int) -> None:
    part = message(NEWLINK, b"one") + message(kind, word(-errno.EPERM))

    with pytest.raises(PermissionError):
        sockets._closing(part, "x")


def test_a_length_that_cannot_be_is_named() -> None:
    with pytest.raises(
        errors.UnreadableError, match=r"^netlink links .* at byte 20 claims 3 bytes"
    ):
        sockets._closing(
            message(NEWLINK, b"good") + struct.pack("=IHHII", 3, 0, 0, 0, 0), "netlink links"
        )


def test_answers_are_told_apart_by_their_numbers() -> None:
    part = (
        message(NEWNSID, bytes(4) + netlink.attribute(1, word(7)), sequence=5)
        + message(netlink.ERROR, word(-errno.EBADF), sequence=2)
        + message(NEWNSID, bytes(4) + netlink.attribute(1, word(-1)), sequence=3)
    )

    assert list(live._numbered(part, "x")) == [(5, 7), (2, -1), (3, -1)]


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_decoded_or_named(part: bytes) -> None:
    for decode in (sockets._closing, lambda raw, name: list(live._numbered(raw, name))):
        try:
            decode(part, "netlink x")
        except errors.UnreadableError as error:
            assert error.path == "netlink x"  # noqa: PT017 - All outcomes are right.
        except OSError as error:
            assert error.errno  # noqa: PT017


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (TimeoutError(), errors.HungError),
        (OSError(errno.EOPNOTSUPP, ""), errors.AbsentError),
        (OSError(errno.EPROTONOSUPPORT, ""), errors.AbsentError),
        (OSError(errno.EPERM, ""), errors.ForbiddenError),
        (OSError(errno.ENOBUFS, ""), errors.UnreadableError),
        (OSError(), errors.UnreadableError),
    ],
)
def test_what_a_socket_says_has_one_meaning(raised: OSError, kind: type[errors.HostError]) -> None:
    with pytest.raises(kind, match=r"^netlink links "), sockets.translated("netlink links"):
        raise raised
