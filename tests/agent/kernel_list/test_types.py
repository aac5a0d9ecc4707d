from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import btf, btf_excerpt, net_layout

if TYPE_CHECKING:
    from .conftest import Btf

INT, POINTER, ARRAY, STRUCT, UNION, TYPEDEF, CONST = 1, 2, 3, 4, 5, 8, 10
ONE_OF_EACH = {
    INT: (1, 0), 2: (0, 0), 3: (3, 0), 4: (0, 3), 5: (0, 3), 6: (0, 2), 7: (0, 0), 8: (0, 0),
    9: (0, 0), 10: (0, 0), 11: (0, 0), 12: (0, 0), 13: (0, 2), 14: (1, 0), 15: (0, 3), 16: (0, 0),
    17: (1, 0), 18: (0, 0), 19: (0, 3),
}  # fmt: skip
"""Words after the first three, by kind: in all, and for each part (uapi/linux/btf.h)."""


def read(types: Btf, *names: str) -> btf.Types:
    return btf.types(types.written(), "btf", names)


def test_a_member_is_found_inside_structures_without_a_name_and_behind_other_names(
    empty_types: Btf,
) -> None:
    types = empty_types
    number = types.add(INT, "int", 4, 32)
    inner = types.structure("", 8, [("low", number, 0), ("high", number, 32)])
    union = types.structure("", 8, [("", inner, 0)], kind=UNION)
    box = types.structure("box", 16, [("", union, 64)])
    named = types.add(CONST, "", types.add(TYPEDEF, "box_t", box))
    types.structure("outer", 32, [("first", number, 0), ("box", named, 128)])

    found = read(types, "outer")

    assert found.offset("outer", "box.high") == 16 + 8 + 4
    assert found.offset("outer", "box") == 16
    assert found.offset("outer", "box.none") is None
    assert found.offset("outer", "first.none") is None
    assert found.offset("nothing", "first") is None


def test_the_size_of_a_field_of_bits_is_no_part_of_its_offset(empty_types: Btf) -> None:
    number = empty_types.add(INT, "int", 4, 32)
    members = [("flag", number, 1 << 24 | 37), ("count", number, 64)]
    empty_types.structure("flags", 12, members, bits=True)

    found = read(empty_types, "flags")

    assert found.offset("flags", "flag") == 4
    assert found.offset("flags", "count") == 8


@pytest.mark.parametrize("kind", ONE_OF_EACH)
def test_every_kind_of_type_is_stepped_over(kind: int, empty_types: Btf) -> None:
    fixed, each = ONE_OF_EACH[kind]
    empty_types.add(kind, "", 0, *[0] * (fixed + 2 * each), parts=2 if each else 0)
    number = empty_types.add(INT, "int", 4, 32)
    empty_types.structure("last", 8, [("x", number, 32)])

    assert read(empty_types, "last").offset("last", "x") == 4


def test_a_kind_that_is_not_known_is_not_guessed(empty_types: Btf) -> None:
    empty_types.add(20)

    with pytest.raises(errors.UnreadableError, match=r"type 1 is torn or of a kind"):
        read(empty_types)


def test_a_forward_declaration_is_not_the_structure(empty_types: Btf) -> None:
    number = empty_types.add(INT, "int", 4, 32)
    empty_types.structure("net", 0, [])
    empty_types.structure("net", 8, [("x", number, 32)])

    assert read(empty_types, "net").offset("net", "x") == 4


def test_types_inside_themselves_end(empty_types: Btf) -> None:
    empty_types.structure("loop", 8, [("", 1, 0), ("", 2, 0), ("box", 3, 0)])
    empty_types.structure("", 8, [("", 1, 0)])
    empty_types.add(TYPEDEF, "t", 3)

    found = read(empty_types, "loop")

    assert found.offset("loop", "x") is None
    with pytest.raises(errors.UnreadableError, match="behind 16 others"):
        found.offset("loop", "box.x")


@pytest.mark.parametrize("keep", [0, 10, 23, 40, -1])
def test_torn_types_are_named(keep: int, types: Callable[..., Btf]) -> None:
    with pytest.raises(errors.UnreadableError, match=r"^btf cannot be understood"):
        net_layout.layout(types().written()[:keep], "btf")


@pytest.mark.parametrize("active", ["count", "__ns_ref"])
def test_the_reference_count_is_found_under_each_of_its_names(
    active: str, types: Callable[..., Btf]
) -> None:
    found = net_layout.layout(types(active).written(), "btf")

    assert (found.links, found.inode, found.active, found.passive) == (8, 36, 40, 0)
    assert (found.cookie, found.ids) == (48, 56)
    assert found.node == net_layout.Node(0, 8, 4)
    assert found.span == (0, 56)


def test_the_visible_count_of_later_kernels_is_not_taken_for_the_active_one(
    types: Callable[..., Btf],
) -> None:
    with pytest.raises(errors.UnreadableError, match="has no reference count"):
        net_layout.layout(types("__ns_ref_active").written(), "btf")


def test_the_count_of_old_kernels_is_in_the_namespace_itself(empty_types: Btf) -> None:
    number = empty_types.add(INT, "int", 4, 32)
    ns = empty_types.structure("ns_common", 8, [("inum", number, 32)])
    members = [("count", number, 32), ("list", number, 64), ("ns", ns, 192)]
    empty_types.structure("net", 32, members)

    found = net_layout.layout(empty_types.written(), "btf")

    assert (found.active, found.inode) == (4, 28)
    assert (found.passive, found.cookie, found.ids, found.node) == (None, None, None, None)


def test_an_excerpt_says_the_same_of_what_is_wanted(types: Callable[..., Btf]) -> None:
    whole = types()
    whole.structure("unwanted", 8, [("x", 1, 0)])
    content = whole.written()

    cut = net_layout.EXCERPTS[net_layout.TYPES](content)

    assert net_layout.layout(cut, "btf") == net_layout.layout(content, "btf")
    assert b"unwanted" not in cut
    assert net_layout.EXCERPTS[net_layout.TYPES](cut) == cut


def test_an_excerpt_leaves_out_what_pointers_lead_to(empty_types: Btf) -> None:
    number = empty_types.add(INT, "int", 4, 32)
    secret = empty_types.structure("secret", 8, [("x", number, 0)])
    pointer = empty_types.add(POINTER, "", secret)
    empty_types.structure("net", 16, [("next", pointer, 0), ("other", secret, 64)])

    cut = btf_excerpt.excerpt(empty_types.written(), "btf", {"net": ("next",), "gone": ()})

    assert b"secret" not in cut
    assert btf.types(cut, "btf", ("net",)).offset("net", "next") == 0


@given(st.binary(max_size=400))
def test_any_bytes_are_types_or_unreadable(content: bytes) -> None:
    _read_or_refuse(content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_found_or_harmless(data: st.DataObject, types: Callable[..., Btf]) -> None:
    content = bytearray(types().written())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) // 4 - 1)) * 4
        struct.pack_into("=I", content, at, data.draw(st.integers(0, (1 << 32) - 1)))

    _read_or_refuse(bytes(content))


def _read_or_refuse(content: bytes) -> None:
    for ask in (
        lambda: net_layout.layout(content, "btf"),
        lambda: net_layout.EXCERPTS[net_layout.TYPES](content),
    ):
        try:
            ask()
        except errors.UnreadableError as error:
            assert str(error)  # noqa: PT017 - Either is right.
