"""What is promised, in words: whatever breaks a promise says which."""

from __future__ import annotations


def pledge(kept: object, words: str) -> None:
    """Raise ``AssertionError`` with *words*, which say what went wrong, unless it is *kept*."""
    if not kept:
        raise AssertionError(words)
