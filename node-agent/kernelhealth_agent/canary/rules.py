"""Whether netfilter keeps what it is told and forgets what it is told, in a fresh namespace."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import nft_round_trip

_RECEIVE = 1 << 16
_NAME = "netlink nft-rules"


def round_trip(family: int) -> str:
    """Add a rule, list it, delete it; return ``ok``, ``failed WHY``, or ``absent WHY``.

    It is absent where not even a rule could be added: that may be not compiled in, or forbidden.
    """
    try:
        asked = _socket()
    except OSError as error:
        return f"absent {error.strerror}"
    with asked:
        why = _changed(asked, nft_round_trip.additions(family), {2, 3, 4})
        if why:
            return f"absent a rule could not be added: {why}"
        try:
            complaint = _undone(asked, family)
        except (OSError, errors.HostError) as error:
            complaint = str(error)
    return f"failed {complaint}" if complaint else "ok"


def _undone(asked: socket.socket, family: int) -> str:
    """Find the rule and delete it; return what went wrong."""
    there = _listed(asked, family)
    if len(there) != 1:
        return f"one rule was added and {len(there)} are listed"
    why = _changed(asked, nft_round_trip.deletion(family, there[0]), {2})
    if why:
        return f"a rule was added that cannot be deleted: {why}"
    if _listed(asked, family):
        return "a rule is listed after it was deleted"
    why = _changed(asked, nft_round_trip.removal(family), {2})
    return f"a table was added that cannot be deleted: {why}" if why else ""


def _socket() -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    made = socket.socket(socket.AF_NETLINK, kind, nft_round_trip.PROTOCOL)
    made.bind((0, 0))
    return made


def _changed(asked: socket.socket, batch: bytes, awaited: set[int]) -> str:
    """Make changes, and return why the first one that was refused was; empty for none."""
    asked.send(batch)
    left = set(awaited)
    while left:
        for sequence, code in nft_round_trip.verdicts(asked.recv(_RECEIVE)):
            if code:
                return os.strerror(code)
            left.discard(sequence)
    return ""


def _listed(asked: socket.socket, family: int) -> list[int]:
    """Return the handles of the rules that there are; ``OSError``, ``UnreadableError``."""
    asked.send(nft_round_trip.listing(family))
    stream = b"".join(_dumped(asked))
    return nft_round_trip.handles(stream, _NAME)


def _dumped(asked: socket.socket) -> Iterator[bytes]:
    while True:
        part = asked.recv(_RECEIVE)
        yield part
        for _, code in nft_round_trip.verdicts(part):
            if code:
                raise OSError(code, os.strerror(code))
            return
