"""What was seen inside a namespace that only its id leads to: the answer of ``hosts.inside``.

JSON with the inode number, what no other namespace of this boot has (*cookie*, SO_NETNS_COOKIE, and
*id*, NS_GET_ID), the value of ``/proc/net/rpc/use-gss-proxy`` and the first line of
``/proc/net/sockstat``, ``sockets: used 3``; null for what the kernel does not have.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from kernelhealth_agent import errors

_SOCKETS = re.compile(r"sockets: used (\d{1,12})")


@dataclass(frozen=True, slots=True)
class Inside:
    """A namespace, opened; None for what this kernel does not tell."""

    inode: int
    cookie: int | None = None
    identifier: int | None = None
    uses_gssproxy: bool | None = None
    sockets: int | None = None


def name(nsid: int) -> str:
    """Return the name of the question about an id."""
    return f"namespaces/inside-nsid-{nsid}"


def inside(content: bytes, path: str) -> Inside:
    """Decode an answer; ``UnreadableError`` where it is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadableError(path, f"it is no JSON: {error}") from error
    if not isinstance(found, dict) or type(found.get("inode")) is not int:
        raise errors.UnreadableError(path, "it has no inode number")
    sockets = _SOCKETS.fullmatch(str(found.get("sockstat")))
    use = found.get("useGssProxy")
    return Inside(
        found["inode"],
        _number(found.get("cookie")),
        _number(found.get("id")),
        None if use is None else use == "1",
        int(sockets[1]) if sockets else None,
    )


def _number(value: object) -> int | None:
    return value if type(value) is int else None
