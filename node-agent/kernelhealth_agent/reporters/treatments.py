"""Treatments as a person or a program reads them: what would be done, or what was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kernelhealth_agent.wording import printable

_PIPED_WIDTH = 140


@dataclass(frozen=True, slots=True)
class Row:
    """One fix for one thing. *result* is ``done``, ``failed`` or ``left alone``, or not yet known.

    *deeds* are what it does, in order; *why* is what stood against it, or went wrong.
    """

    fix: str
    stage: str
    what: str
    reason: str
    deeds: tuple[str, ...]
    risky: bool
    result: str = ""
    why: str = ""


def show(rows: Sequence[Row], stream: TextIO) -> None:
    """Write a table; colours are for terminals only."""
    terminal = stream.isatty()
    console = Console(
        file=stream,
        width=None if terminal else _PIPED_WIDTH,
        color_system="auto" if terminal else None,
        highlight=False,
    )
    if not rows:
        console.print("There is nothing that a fix of the catalogue could treat.")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for title, ratio in (("FIX", None), ("TO WHAT", 2), ("HOW", 3)):
        table.add_column(title, ratio=ratio, overflow="fold", no_wrap=ratio is None)
    for row in rows:
        risky = " (risky)" if row.risky else ""
        table.add_row(
            Text.assemble((row.fix, "bold"), f"\n{row.stage}{risky}"),
            Text(printable(row.what) + f"\n{row.reason}"),
            Text("\n".join(map(printable, _how(row)))),
        )
    console.print(table)


def wire(rows: Sequence[Row], *, done: bool) -> dict[str, Any]:
    """Return the rows as JSON has them; *done* tells whether anything was to be done."""
    treatments = [
        {
            "fix": row.fix,
            "stage": row.stage,
            "risky": row.risky,
            "what": row.what,
            "reason": row.reason,
            "deeds": list(row.deeds),
            "result": row.result or None,
            "why": row.why or None,
        }
        for row in rows
    ]
    return {"done": done, "treatments": treatments}


def _how(row: Row) -> list[str]:
    if row.result:
        return [f"{row.result}: {row.why}" if row.why else row.result]
    if row.why:
        return [f"not now: {row.why}"]
    return [f"{number}. {deed}" for number, deed in enumerate(row.deeds, 1)]
