from __future__ import annotations

import contextlib
import struct

from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import neighbours
from kernelhealth_agent.kernel.neighbours import INET, INET6, Population

PATH = "netlink neighbours"


def message(family: int, state: int, flags: int = 0) -> bytes:
    body = struct.pack("=BBHiHBB", family, 0, 0, 1, state, flags, 1)
    return struct.pack("=IHHII", 16 + len(body), 28, 2, 1, 0) + body


def test_neighbours_are_counted_by_family_and_whether_they_are_exempt() -> None:
    stream = (
        message(INET, 0x02)
        + message(INET, 0x80)
        + message(INET, 0x04, flags=0x10)
        + message(INET6, 0x04)
        + message(7, 0x80)
    )

    assert neighbours.populations(stream, PATH) == {INET: Population(3, 2), INET6: Population(1)}


@given(
    st.binary()
    | st.lists(st.binary(max_size=14)).map(
        lambda bodies: b"".join(struct.pack("=IHHII", 16 + len(b), 28, 2, 1, 0) + b for b in bodies)
    )
)
def test_any_answer_gives_numbers_or_says_what_is_wrong(stream: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        found = neighbours.populations(stream, PATH)
        assert all(0 <= p.exempt <= p.total for p in found.values())
