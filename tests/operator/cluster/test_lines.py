"""Lines out of pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_operator.cluster.errors import StreamBroken
from kernelhealth_operator.cluster.lines import Lines


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=20))
def test_however_a_stream_is_cut_the_same_lines_come_out(stream: bytes, cuts: list[int]) -> None:
    borders = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    lines = Lines()

    told = [
        line for start, end in itertools.pairwise(borders) for line in lines.feed(stream[start:end])
    ]

    assert told == [line for line in stream.split(b"\n")[:-1] if line]


def test_a_line_without_end_is_given_up() -> None:
    lines = Lines(longest=10)
    lines.feed(b"12345678")

    with pytest.raises(StreamBroken, match="passed 10 bytes"):
        lines.feed(b"9abc")


def test_the_length_is_counted_anew_for_each_line() -> None:
    lines = Lines(longest=10)

    told = [
        line for piece in (b"1234", b"5678\n1234", b"5678", b"\n") for line in lines.feed(piece)
    ]

    assert told == [b"12345678", b"12345678"]
