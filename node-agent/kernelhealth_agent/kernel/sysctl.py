"""Numbers below /proc/sys, Documentation/admin-guide/sysctl."""

from __future__ import annotations

import re

from kernelhealth_agent import errors

_NUMBERS = re.compile(rb"\d{1,20}(\s+\d{1,20})*\s*")


def number(content: bytes, path: str) -> int:
    """Return the number that a file holds; ``UnreadableError`` where it holds none."""
    return numbers(content, 1, path)[0]


def numbers(content: bytes, count: int, path: str) -> tuple[int, ...]:
    """Return as many numbers as a file holds; ``UnreadableError`` where there are not *count*."""
    found = content.split() if _NUMBERS.fullmatch(content) else []
    if len(found) != count:
        wanted = "a number" if count == 1 else f"{count} numbers"
        raise errors.UnreadableError(path, f"it does not hold {wanted}", 1)
    return tuple(int(field) for field in found)
