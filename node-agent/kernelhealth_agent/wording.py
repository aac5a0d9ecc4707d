"""Words and sentences at a length that fits into a report, whatever they were made of."""

from __future__ import annotations

_LONGEST_WORD = 200


def shortened(text: str, most: int) -> str:
    """Return *text* with no more than *most* characters; an ellipsis stands for the rest."""
    if most <= 0:
        return ""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def printable(text: str) -> str:
    """Return one line of what a terminal only prints.

    Names of files, links and processes come from containers: escape sequences and bytes that are
    no text have no business in a report.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def clipped(text: str) -> str:
    """Return a word that came from outside, printable and at most 200 characters long."""
    return shortened(printable(text), _LONGEST_WORD)
