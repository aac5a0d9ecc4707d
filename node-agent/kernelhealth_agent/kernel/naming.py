"""Names that processes gave to things, made fit for a sentence, a terminal and a JSON document."""

from __future__ import annotations

_LONGEST = 64


def printable(name: str) -> str:
    """Return *name* with escapes for what does not print: line ends, half characters."""
    return name if name.isprintable() else ascii(name)[1:-1]


def short(name: str | None) -> str:
    """Return *name* printable and of 64 characters at the most; nothing for None."""
    shown = printable(name or "")
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
