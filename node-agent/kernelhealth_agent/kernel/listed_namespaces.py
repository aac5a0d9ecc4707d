"""The namespaces that the kernel calls in use: the answer of ``hosts.listed_namespaces``.

JSON with two lists of ids as NS_GET_ID gives them, which no other namespace of this boot has::

    {"active": [3, 57028], "known": [3]}
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from kernelhealth_agent import errors

NAME = "namespaces/listns"


@dataclass(frozen=True, slots=True)
class InUse:
    """All namespaces that something in user space holds, and those that nothing seen leads to."""

    active: int
    unseen: tuple[int, ...]


def in_use(content: bytes, path: str) -> InUse:
    """Decode an answer; ``UnreadableError`` where it is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadableError(path, f"it is no JSON: {error}") from error
    active, known = (_ids(found, key) for key in ("active", "known"))
    if active is None or known is None:
        raise errors.UnreadableError(path, "it has no lists of ids")
    return InUse(len(active), tuple(sorted(active - known)))


def _ids(found: object, key: str) -> set[int] | None:
    value = found.get(key) if isinstance(found, dict) else None
    if not isinstance(value, list) or not all(type(x) is int for x in value):
        return None
    return set(value)
