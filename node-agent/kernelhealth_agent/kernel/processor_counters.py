"""Counters with a row for each processor: the files of /proc/net/stat.

A line of names and, for each possible processor, a line of hexadecimal numbers of 32 bits
(net/core/neighbour.c: neigh_stat_seq_show, net/netfilter/nf_conntrack_standalone.c:
ct_cpu_seq_show). ``entries`` is no counter: it is the same number in each row. Kernels add,
rename and drop columns, so that a column is known by its name only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kernelhealth_agent import errors

_HEXADECIMAL = re.compile(rb"[0-9a-f]{1,16}")


@dataclass(frozen=True, slots=True)
class Counters:
    """The sums over the rows that were read, by column, and the number of entries."""

    entries: int
    totals: Mapping[str, int]


def counters(content: bytes, path: str) -> Counters:
    """Decode such a file, or its beginning; ``UnreadableError`` where it is something else."""
    head, newline, rest = content.partition(b"\n")
    names = head.decode(errors="replace").split()
    if not newline or "entries" not in names:
        raise errors.UnreadableError(path, "its first line names no column 'entries'", 1)
    # What follows the last line end is the beginning of a row that was not read whole.
    lines = rest.split(b"\n")[:-1]
    rows = [_row(line, len(names), number, path) for number, line in enumerate(lines, 2)]
    if not rows:
        raise errors.UnreadableError(path, "it has no row of numbers", 2)
    totals = [sum(column) for column in zip(*rows, strict=True)]
    return Counters(rows[0][names.index("entries")], dict(zip(names, totals, strict=True)))


def grown(before: int, now: int) -> int:
    """Return by how much a counter grew; one that is lower than before began anew, or overran."""
    return max(0, now - before)


def _row(line: bytes, columns: int, number: int, path: str) -> list[int]:
    fields = line.split()
    if len(fields) != columns:
        raise errors.UnreadableError(path, f"{len(fields)} numbers for {columns} columns", number)
    if not all(_HEXADECIMAL.fullmatch(field) for field in fields):
        raise errors.UnreadableError(path, "a field is no hexadecimal number", number)
    return [int(field, 16) for field in fields]
