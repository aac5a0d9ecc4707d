"""Netlink messages and attributes: include/uapi/linux/netlink.h.

A message is a header (length, type, flags, sequence, port) and a body, an attribute a header
(length, type) and a payload; both are padded to four bytes. All is in the byte order of the host.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from kernelhealth_agent import errors

HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
ERROR, DONE = 2, 3
REQUEST, ACKNOWLEDGE, DUMP, CREATE = 1, 4, 0x300, 0x400
INTERRUPTED = 0x10
_TYPE_MASK = 0x3FFF  # Without NLA_F_NESTED and NLA_F_NET_BYTEORDER.


@dataclass(frozen=True, slots=True)
class Request:
    """One netlink question; *name* is what a recording calls the answer.

    *protocol* is the netlink family (0 NETLINK_ROUTE, 12 NETLINK_NETFILTER), *body* all that
    follows the header, *dump* asks for every object there is.
    """

    name: str
    protocol: int
    kind: int
    body: bytes
    dump: bool = True


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one attribute, padded."""
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + bytes(-length % 4)


def messages(stream: bytes, path: str) -> Iterator[tuple[int, memoryview]]:
    """Yield type and body of each message; *path* names the request in errors.

    Raises ``UnreadableError`` for a length that cannot be, after the messages before it.
    """
    view, at = memoryview(stream), 0
    while at < len(stream):
        if at + HEADER.size > len(stream):
            raise errors.UnreadableError(path, f"{len(stream) - at} bytes are no message")
        length, kind, *_ = HEADER.unpack_from(stream, at)
        if length < HEADER.size or at + length > len(stream):
            raise errors.UnreadableError(path, f"a message at byte {at} claims {length} bytes")
        yield kind, view[at + HEADER.size : at + length]
        at += (length + 3) & ~3


def attributes(body: memoryview, path: str) -> dict[int, memoryview]:
    """Return the payloads by type; of a repeated attribute the last one, as the kernel does.

    Raises ``UnreadableError`` for a length that cannot be.
    """
    found, at, end = {}, 0, len(body)
    while at + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < 4 or at + length > end:
            raise errors.UnreadableError(path, f"an attribute of type {kind} claims {length} bytes")
        found[kind & _TYPE_MASK] = body[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def listed(body: memoryview, path: str) -> Iterator[tuple[int, memoryview]]:
    """Yield type and payload of each attribute in order, for lists that repeat a type.

    Raises ``UnreadableError`` for a length that cannot be.
    """
    at, end = 0, len(body)
    while at + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < 4 or at + length > end:
            raise errors.UnreadableError(path, f"an attribute of type {kind} claims {length} bytes")
        yield kind & _TYPE_MASK, body[at + 4 : at + length]
        at += (length + 3) & ~3


def text(payload: memoryview | None) -> str | None:
    """Return a string without its closing NUL."""
    return None if payload is None else bytes(payload).split(b"\0", 1)[0].decode(errors="replace")


def number(payload: memoryview | None, path: str, *, signed: bool = False) -> int | None:
    """Return a 32-bit number in host order; ``UnreadableError`` where it has another size."""
    if payload is None:
        return None
    if len(payload) != 4:
        raise errors.UnreadableError(path, f"a number of {len(payload)} bytes instead of 4")
    value: int = struct.unpack("=i" if signed else "=I", payload)[0]
    return value
