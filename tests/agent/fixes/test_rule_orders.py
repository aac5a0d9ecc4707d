"""Which rule the kernel takes for which, told from their descriptions alone."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent.kernel import netlink, rule_orders

HERE = bytes([192, 0, 2, 1])
PLACE = {6: struct.pack("=I", 500), 15: struct.pack("=I", 7), 14: b"\xff" * 4}


def rule(
    attributes: dict[int, bytes] | None = None,
    *,
    family: int = 2,
    source: int = 0,
    action: int = 1,
    flags: int = 0,
) -> bytes:
    """Return the body of a message as the kernel describes a rule."""
    head = struct.pack("=8BI", family, 0, source, 0, 0, 0, 0, action, flags)
    every = {**PLACE, **(attributes or {})}
    return head + b"".join(netlink.attribute(*each) for each in every.items())


def rival(first: bytes, wanted: bytes) -> bytes | None:
    return rule_orders.rival((first, wanted), wanted, "rules")


NARROWER = {
    "a mark": rule({10: b"\1\0\0\0", 16: b"\xff" * 4}),
    "an interface": rule({3: b"eth0\0"}),
    "an address": rule({2: HERE}, source=32),
    "what this agent does not know": rule({99: b"1234"}),
    "all but a mark": rule({10: b"\1\0\0\0", 16: b"\xff" * 4}, flags=2),
}


@pytest.mark.parametrize("narrow", NARROWER.values(), ids=list(NARROWER))
def test_a_narrower_rule_in_front_goes_for_a_general_one(narrow: bytes) -> None:
    assert rival(narrow, rule()) == narrow
    assert rival(rule(), narrow) is None or narrow == NARROWER["what this agent does not know"]


OTHERS = {
    "of another priority": rule({6: struct.pack("=I", 501)}),
    "of priority 0": rule({6: bytes(4)}),
    "of another table": rule({15: struct.pack("=I", 8)}),
    "of the other family": rule(family=10),
    "that forbids": rule(action=7),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_a_rule_elsewhere_is_never_taken_for_it(other: bytes) -> None:
    assert rival(other, rule()) is None


def test_a_length_of_no_prefix_at_all_is_a_condition_like_any_other() -> None:
    none, zero, sixteen = (rule({14: length}) for length in (b"\xff" * 4, bytes(4), b"\x10\0\0\0"))

    assert rival(sixteen, zero) is None
    assert rival(none, zero) is None
    assert rival(zero, none) == zero


def test_an_order_names_the_priority_even_where_the_kernel_does_not() -> None:
    whole = rule({2: HERE}, source=32)
    without = struct.pack("=8BI", 2, 0, 0, 0, 255, 0, 0, 1, 0) + netlink.attribute(
        15, b"\xff\0\0\0"
    )

    assert rule_orders.deletion(whole, "rules") == whole
    assert rule_orders.deletion(without, "rules") == without + netlink.attribute(6, bytes(4))


def test_a_rule_is_the_same_whether_its_interface_is_there_or_not() -> None:
    there, gone = rule({3: b"eth0\0"}), rule({3: b"eth0\0"}, flags=8)
    stream = b"".join(
        netlink.HEADER.pack(netlink.HEADER.size + len(body), 32, 0, 0, 0) + body
        for body in (there, gone)
    )

    assert rule_orders.bodies(stream, "rules") == (there, there)


@given(
    st.lists(
        st.builds(
            rule,
            st.dictionaries(
                st.sampled_from([2, 3, 6, 10, 14, 15, 16, 17, 21, 23]),
                st.sampled_from([bytes(4), b"\1\0\0\0", b"\xff" * 4]),
            ),
            family=st.sampled_from([2, 10]),
            source=st.sampled_from([0, 24, 32]),
        ),
        min_size=1,
        max_size=6,
    ),
    st.data(),
)
def test_the_first_rule_is_never_anothers_rival_and_a_rival_always_stands_before(
    every: list[bytes], data: st.DataObject
) -> None:
    wanted = data.draw(st.sampled_from(every))

    found = rule_orders.rival(every, wanted, "rules")

    assert rule_orders.rival(every, every[0], "rules") is None
    assert found is None or every.index(found) < every.index(wanted)
