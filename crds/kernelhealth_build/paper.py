"""How generated files are written: header, YAML in a fixed order, Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

HEADER = "Written by crds/generate.py; do not edit."


class _Dumper(yaml.SafeDumper):
    """Repeats what is used twice: anchors are hard to read, and some readers refuse them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def manifest(*documents: Any) -> str:
    """Return *documents* as YAML in their own order, below the header."""
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
    return f"# {HEADER}\n{text}"


def page(title: str, *parts: str) -> str:
    """Return a Markdown page of *parts* below the header."""
    return "\n\n".join([f"<!-- {HEADER} -->", f"# {title}", *filter(None, parts)]) + "\n"


def sentence(text: str) -> str:
    """Return *text* with a full stop, where it has none."""
    return text if text.endswith(".") else f"{text}."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; nothing where there are no rows."""
    lines = [_row(row) for row in rows]
    return "\n".join([_row(head), _row(["---"] * len(head)), *lines]) if lines else ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
