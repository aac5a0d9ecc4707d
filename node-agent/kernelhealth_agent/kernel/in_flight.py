"""Descriptors on their way through unix sockets: the answer of ``hosts.in_flight``.

JSON, a list of process, descriptor of the socket, and how many descriptors wait at it::

    [[4711, 7, 1]]
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from kernelhealth_agent import errors

NAME = "namespaces/in-flight"
_WAITING = re.compile(rb"^scm_fds:\s*(\d{1,9})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Queue:
    """A unix socket of a process at which descriptors wait."""

    pid: int
    socket: int
    waiting: int


@dataclass(frozen=True, slots=True)
class InTransit:
    """A unix socket of a process at which descriptors wait that were sent to it."""

    process: str
    descriptor: int
    waiting: int


def waiting(fdinfo: bytes) -> int:
    """Return how many descriptors wait at a socket, by its fdinfo; 0 where it does not say."""
    match = _WAITING.search(fdinfo)
    return int(match[1]) if match else 0


def queues(content: bytes, path: str) -> tuple[Queue, ...]:
    """Decode an answer; ``UnreadableError`` where it is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadableError(path, f"it is no JSON: {error}") from error
    if not isinstance(found, list) or not all(_is_queue(item) for item in found):
        raise errors.UnreadableError(path, "it is no list of sockets")
    return tuple(Queue(*item) for item in found)


def _is_queue(item: object) -> bool:
    return isinstance(item, list) and len(item) == 3 and all(type(x) is int for x in item)
