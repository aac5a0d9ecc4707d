"""Columns as kubectl prints them."""

from __future__ import annotations

from collections.abc import Sequence


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; the last column is as wide as it likes."""
    every = [tuple(titles), *(tuple(cell or "-" for cell in row) for row in rows)]
    widths = [max(len(row[place]) for row in every) for place in range(len(titles))]
    return [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in every
    ]


def printable(text: str) -> str:
    """Return *text* on one line, without what would steer a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)
