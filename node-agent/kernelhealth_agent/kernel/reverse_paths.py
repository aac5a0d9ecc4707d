"""Reverse path filters of IPv6 in nftables, and the messages that delete them.

net/netfilter/nft_fib.c: ``fib saddr . iif oif missing drop`` looks up the route back to the sender.
Rules that look up a route for another reason (``fib daddr type local``, as kube-proxy has it) are
none, and neither are those that let packets pass: without them more would be dropped than before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import netlink, nftables
from kernelhealth_agent.kernel.netlink import Request

PROTOCOL = 12
"""NETLINK_NETFILTER."""
_SUBSYSTEM = 10
_BEGIN, _END = 16, 17
_NEWTABLE, _GETTABLE, _DELRULE = (_SUBSYSTEM << 8 | kind for kind in (0, 1, 8))
_NEWGEN, _GETGEN = (_SUBSYSTEM << 8 | kind for kind in (15, 16))
_GENERATION = 1  # NFTA_GEN_ID, and NFNL_BATCH_GENID.
_HEADER = struct.Struct("=BBH")
_TABLE, _CHAIN, _HANDLE, _EXPRESSIONS = 1, 2, 3, 4
_NAME, _DATA = 1, 2
_FIB_RESULT, _FIB_FLAGS = 2, 3
_SENDER, _INTERFACES = 1, {1, 2}  # NFTA_FIB_F_SADDR; NFT_FIB_RESULT_OIF, _OIFNAME.
_IMMEDIATE_DATA, _VERDICT, _CODE = 2, 2, 1
_LOOKUP_RESULT = 3  # NFTA_LOOKUP_DREG: of a map, a verdict map above all.
_TABLE_NAME, _TABLE_OWNER = 1, 7
_DROP = 0


@dataclass(frozen=True, slots=True)
class Lookup:
    """A rule that looks up routes: *text* as the detector names it, *body* that which deletes it.

    *chain* is the same for rules of one chain. *is_filter*: it looks for the way back to senders.
    *spares*: it may let packets pass that would be dropped without it.
    """

    text: str
    table: str
    chain: tuple[int, bytes, bytes]
    body: bytes
    is_filter: bool
    spares: bool


def lookups(stream: bytes, path: str) -> tuple[Lookup, ...]:
    """Decode an answer to ``nftables.request``: the rules that look up IPv6 routes."""
    return tuple(_lookups(stream, path))


def _lookups(stream: bytes, path: str) -> Iterator[Lookup]:
    for kind, body in netlink.messages(stream, path):
        alone = netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, 0, 0, 0) + bytes(body)
        for user in nftables.fib_users(alone, path):
            values = netlink.attributes(body[_HEADER.size :], path)
            table, chain = bytes(values.get(_TABLE, b"")), bytes(values.get(_CHAIN, b""))
            expressions = values.get(_EXPRESSIONS, memoryview(b""))
            order = _HEADER.pack(body[0], 0, 0) + b"".join(
                netlink.attribute(part, bytes(values.get(part, b"")))
                for part in (_TABLE, _CHAIN, _HANDLE)
            )
            is_filter, spares = _meaning(expressions, path)
            where = (body[0], table, chain)
            yield Lookup(user.text, user.table, where, order, is_filter, spares)


def _meaning(expressions: memoryview, path: str) -> tuple[bool, bool]:
    """Return whether a rule looks for the way back, and whether it may let packets pass."""
    is_filter, verdicts = False, []
    for _, expression in netlink.listed(expressions, path):
        values = netlink.attributes(expression, path)
        name = netlink.text(values.get(_NAME))
        data = netlink.attributes(values.get(_DATA, memoryview(b"")), path)
        if name == "fib":
            sender = bool(_big(data.get(_FIB_FLAGS)) & _SENDER)
            is_filter |= sender and _big(data.get(_FIB_RESULT)) in _INTERFACES
        elif name == "match":
            is_filter |= netlink.text(data.get(1)) == "rpfilter"
        elif name == "immediate":
            value = netlink.attributes(data.get(_IMMEDIATE_DATA, memoryview(b"")), path)
            if _VERDICT in value:
                verdicts.append(_big(netlink.attributes(value[_VERDICT], path).get(_CODE)))
        elif name == "target" or (name == "lookup" and _LOOKUP_RESULT in data):
            verdicts.append(-1)  # What it decides is not known here.
    return is_filter, any(verdict != _DROP for verdict in verdicts)


def generation_request() -> Request:
    """Ask for the number of the rules' generation, which each change of them increases."""
    return Request("nft-generation", PROTOCOL, _GETGEN, _HEADER.pack(0, 0, 0), dump=False)


def generation(stream: bytes, path: str) -> bytes:
    """Decode an answer to ``generation_request``: the number, as a batch has it."""
    for kind, body in netlink.messages(stream, path):
        if kind == _NEWGEN and len(body) >= _HEADER.size:
            found = netlink.attributes(body[_HEADER.size :], path).get(_GENERATION)
            if found is not None:
                return bytes(found)
    raise errors.UnreadableError(path, "it has no generation")


def deletion(bodies: tuple[bytes, ...], made_for: bytes) -> tuple[bytes, int]:
    """Return one batch that deletes all or none, and the sequence number that ends its answers.

    Each part is acknowledged; parts are numbered from 1 on. The kernel refuses it (ERESTART) where
    the rules are of another generation than it was *made_for*.
    """
    asked = netlink.REQUEST | netlink.ACKNOWLEDGE
    ends = bytes(2) + _SUBSYSTEM.to_bytes(2, "big")
    begin = ends + netlink.attribute(_GENERATION, made_for)
    parts = [_message(_BEGIN, begin, 1, netlink.REQUEST)]
    parts += [_message(_DELRULE, body, 2 + at, asked) for at, body in enumerate(bodies)]
    last = 1 + len(bodies)
    return b"".join([*parts, _message(_END, ends, last + 1, netlink.REQUEST)]), last


def tables_request() -> Request:
    """Ask for all tables of all families."""
    return Request("nft-tables", PROTOCOL, _GETTABLE, _HEADER.pack(0, 0, 0))


def owned(stream: bytes, path: str) -> frozenset[tuple[int, bytes]]:
    """Decode an answer to ``tables_request``: family and name of those that one program owns.

    Nobody else may change such a table (NFT_TABLE_F_OWNER, Linux 5.12).
    """
    found = set()
    for kind, body in netlink.messages(stream, path):
        if kind == _NEWTABLE and len(body) >= _HEADER.size:
            values = netlink.attributes(body[_HEADER.size :], path)
            if _TABLE_OWNER in values:
                found.add((body[0], bytes(values.get(_TABLE_NAME, b""))))
    return frozenset(found)


def _message(kind: int, body: bytes, sequence: int, flags: int) -> bytes:
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, flags, sequence, 0) + body


def _big(payload: memoryview | None) -> int:
    """Return a number in network order; -1 for none."""
    return -1 if payload is None else int.from_bytes(bytes(payload), "big")
