"""Netlink answers without names and addresses that nobody outside shall see. Pure.

An allow-list: what is not known here to be needed and harmless is left out of the message. Formats:
include/uapi/linux/{rtnetlink,if_link,if_addr,fib_rules,inet_diag}.h, netfilter/nf_tables.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import netlink
from kernelhealth_agent.kernel.pseudonyms import Pseudonyms

_ATTRIBUTE = struct.Struct("=HH")
_TYPE = 0x3FFF


@dataclass(frozen=True, slots=True)
class Names:
    """Pseudonyms of addresses, and what a link is called from now on."""

    pseudonyms: Pseudonyms
    renamed: Callable[[str], str]

    def link(self, raw: bytes) -> bytes:
        """Return the name of a link in a message, with its closing NUL."""
        text = raw.split(b"\0", 1)[0].decode(errors="surrogateescape")
        return self.renamed(text).encode(errors="surrogateescape") + b"\0"

    def hardware(self, raw: bytes) -> bytes:
        """Return a link-layer address, which is an internet address for tunnels."""
        return self.address(raw) if len(raw) in {4, 16} else self.pseudonyms.hardware(raw)

    def address(self, raw: bytes) -> bytes:
        """Return an address; of none that has its length nothing is left."""
        return self.pseudonyms.address(raw) if len(raw) in {4, 16} else b""


@dataclass(frozen=True, slots=True)
class _Layout:
    """What stays of a message or a nest: *size* bytes of header, attributes by type.

    *addresses* are offsets of addresses of 16 bytes in the header. *repeated* nests have lists.
    """

    size: int = 0
    kept: frozenset[int] = frozenset()
    masked: Mapping[int, Callable[[Names, bytes], bytes]] = field(default_factory=dict)
    nests: Mapping[int, _Layout] = field(default_factory=dict)
    addresses: tuple[int, ...] = ()


_LINK = _Layout(
    16,
    frozenset({4, 5, 6, 10, 16, 17, 27, 30, 31, 32, 33, 37, 39, 46, 49, 50, 51, 56, 57}),
    {1: Names.hardware, 2: Names.hardware, 3: Names.link, 54: Names.hardware},
    {18: _Layout(kept=frozenset({1, 4})), 52: _Layout(masked={53: Names.link})},
)
_ADDRESS = _Layout(
    8,
    frozenset({6, 8, 9, 10, 11}),
    {1: Names.address, 2: Names.address, 3: Names.link, 4: Names.address, 5: Names.address},
)
_ROUTE = _Layout(
    12,
    frozenset({3, 4, 6, 12, 15, 20}),
    {1: Names.address, 2: Names.address, 5: Names.address, 7: Names.address},
)
_RULE = _Layout(
    12,
    frozenset({6, 10, 11, 14, 13, 15, 16, 19, 20, 21}),
    {1: Names.address, 2: Names.address, 3: Names.link, 17: Names.link},
)
_NEIGHBOUR = _Layout(12, frozenset({3, 8}), {1: Names.address, 2: Names.hardware})
_ROUTING = {
    16: _LINK,
    20: _ADDRESS,
    24: _ROUTE,
    28: _NEIGHBOUR,
    32: _RULE,
    88: _Layout(4, frozenset({1, 2, 4, 5})),
}
_FILTERING = {
    0xA00: _Layout(4),  # Of a table its family is wanted, which is in the header.
    0xA06: _Layout(
        4, frozenset({1, 2, 3}), nests={4: _Layout(masked={1: lambda _, raw: _expression(raw)})}
    ),
}
# What a look at fib rules needs of an expression's data; of a comparison only what is one byte,
# which is a number of a protocol and no address.
_EXPRESSIONS: Mapping[str | None, _Layout] = {
    "meta": _Layout(kept=frozenset({2})),
    "match": _Layout(kept=frozenset({1})),
    "cmp": _Layout(
        kept=frozenset({2}),
        nests={3: _Layout(masked={1: lambda _, raw: raw if len(raw) == 1 else b""})},
    ),
}
_SOCKETS = {20: _Layout(72, frozenset({1, 2, 3, 5, 6, 7, 8, 11, 17}), addresses=(8, 24))}
_PROTOCOLS = {0: _ROUTING, 4: _SOCKETS, 12: _FILTERING}


def masked(stream: bytes, protocol: int, names: Names, path: str) -> bytes:
    """Return an answer of that netlink protocol with other names; ``UnreadableError``.

    What is of a kind that nobody thought of here is refused, since it may hold anything.
    """
    parts = []
    layouts = _PROTOCOLS.get(protocol, {})
    for kind, flags, sequence, body in _messages(stream, path):
        layout = layouts.get(kind)
        if layout is None or len(body) < layout.size:
            what = f"a message of type {kind} of netlink protocol {protocol} cannot be masked"
            raise errors.UnreadableError(path, what)
        made = _header(body[: layout.size], layout, names)
        made += _attributes(body[layout.size :], layout, names, path)
        size = netlink.HEADER.size + len(made)
        parts.append(netlink.HEADER.pack(size, kind, flags, sequence, 0) + made)
    return b"".join(parts)


def _messages(stream: bytes, path: str) -> Iterator[tuple[int, int, int, memoryview]]:
    at = 0
    for kind, body in netlink.messages(stream, path):
        _, _, flags, sequence, _ = netlink.HEADER.unpack_from(stream, at)
        yield kind, flags, sequence, body
        at += (netlink.HEADER.size + len(body) + 3) & ~3


def _header(raw: memoryview, layout: _Layout, names: Names) -> bytes:
    made = bytearray(raw)
    for at in layout.addresses:
        # The first four bytes are an address of IPv4, of which the others are zero.
        size = 16 if raw[0] == 10 else 4
        made[at : at + size] = names.address(bytes(raw[at : at + size]))
    return bytes(made)


def _attributes(body: memoryview, layout: _Layout, names: Names, path: str) -> bytes:
    made, at = bytearray(), 0
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size or at + length > len(body):
            raise errors.UnreadableError(path, f"an attribute of type {kind} claims {length} bytes")
        payload = body[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
        left = _left(kind & _TYPE, payload, layout, names, path)
        if left is not None:
            made += netlink.attribute(kind, left)
    return bytes(made)


def _left(kind: int, payload: memoryview, layout: _Layout, names: Names, path: str) -> bytes | None:
    """Return what is left of one attribute; None for nothing."""
    if kind in layout.kept:
        return bytes(payload)
    if kind in layout.masked:
        return layout.masked[kind](names, bytes(payload))
    if kind in layout.nests:
        return _attributes(payload, layout.nests[kind], names, path)
    return None


def _expression(raw: bytes) -> bytes:
    """Return the name of an expression, and what is needed of its data."""
    path = "an expression of nftables"
    values = netlink.attributes(memoryview(raw), path)
    name = values.get(1, memoryview(b""))
    made = netlink.attribute(1, bytes(name))
    layout = _EXPRESSIONS.get(netlink.text(name))
    if layout is not None and 2 in values:
        nobody = Names(Pseudonyms(b""), str)
        made += netlink.attribute(2, _attributes(values[2], layout, nobody, path))
    return made
