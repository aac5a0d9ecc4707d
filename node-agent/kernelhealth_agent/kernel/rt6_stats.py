"""IPv6 route objects of a namespace: /proc/PID/net/rt6_stats, net/ipv6/route.c.

Seven hexadecimal numbers: nodes of the tree, nodes with routes, routes ever made, routes, cached
routes, **route objects in existence** (``dst_entries_get_slow``), discarded routes. Each route may
have one object per processor (``rt6_pcpu_alloc``), and sockets keep the one they used last. What
goes beyond nobody will free.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kernelhealth_agent import errors

_FIELDS = 7
_INUSE = re.compile(r"^\w+6: inuse (\d{1,10})", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RouteObjects:
    """How many route objects there are, and how many have an explanation."""

    total: int
    explained: int

    @property
    def unexplained(self) -> int:
        """The objects that neither routes nor sockets explain; never negative."""
        return max(0, self.total - self.explained)


def route_objects(content: bytes, processors: int, path: str) -> RouteObjects:
    """Decode rt6_stats; ``UnreadableError`` where it is not seven numbers."""
    fields = content.split()
    if len(fields) != _FIELDS:
        raise errors.UnreadableError(path, f"{len(fields)} fields instead of {_FIELDS}", 1)
    try:
        *_, routes, cached, total, _ = (int(field, 16) for field in fields)
    except ValueError as error:
        raise errors.UnreadableError(path, "a field is no hexadecimal number", 1) from error
    return RouteObjects(total, routes * (processors + 1) + cached)


def sockets(sockstat6: bytes) -> int:
    """Return the IPv6 sockets in use, of all protocols: /proc/PID/net/sockstat6."""
    return sum(int(number) for number in _INUSE.findall(sockstat6.decode(errors="replace")))


def processors(possible: bytes, path: str) -> int:
    """Return how many processors there may be: ``0-3`` or ``0,2-3`` of cpu/possible."""
    try:
        last = int(possible.decode("ascii").strip().replace(",", "-").rsplit("-", 1)[-1])
    except ValueError as error:
        raise errors.UnreadableError(path, "it is no list of processors", 1) from error
    return last + 1


def growth(previous: RouteObjects, now: RouteObjects) -> int:
    """Return by how many the unexplained objects grew between two looks; negative if they went."""
    return now.unexplained - previous.unexplained
