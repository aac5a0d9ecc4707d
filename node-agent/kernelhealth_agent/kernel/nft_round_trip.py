"""One table, one chain and one rule of nftables: made, listed, deleted.

include/uapi/linux/netfilter/nf_tables.h. Changes go in one batch, between two messages that begin
and end it, and each is answered by itself. The rule has a single expression, an immediate verdict,
which is part of nf_tables.ko itself as are chains without a hook: nothing here has the kernel
look for another module.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import netlink
from kernelhealth_agent.kernel.netlink import Request

PROTOCOL = 12  # NETLINK_NETFILTER
SAFE_FAMILIES = (2, 10, 1)
"""NFPROTO_IPV4, IPV6, INET: the families in which a table is made, where one has tables already."""
_SUBSYSTEM = 10
_BEGIN, _END = 16, 17
_NEWTABLE, _GETTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE, _GETRULE, _DELRULE = 0, 1, 2, 3, 6, 7, 8
_CREATE = 0x400
_NESTED = 0x8000
_ACCEPT = 1
_NAME = b"kernelhealth\0"


def tables_request() -> Request:
    """Ask for all tables of all families. Needs nf_tables in the kernel, else it gets loaded."""
    return Request("nft-tables", PROTOCOL, _kind(_GETTABLE), struct.pack("=BBH", 0, 0, 0))


def families(stream: bytes, path: str) -> frozenset[int]:
    """Decode an answer to ``tables_request``: the families in which there are tables."""
    return frozenset(
        body[0]
        for kind, body in netlink.messages(stream, path)
        if kind == _kind(_NEWTABLE) and len(body) >= 4
    )


def additions(family: int) -> bytes:
    """Return a batch that adds the table, the chain and the rule, answered as 2, 3 and 4."""
    chain = _attribute(1, _NAME) + _attribute(3, _NAME)
    return _batch(
        _message(_NEWTABLE, family, 2, _attribute(1, _NAME), _CREATE),
        _message(_NEWCHAIN, family, 3, chain, _CREATE),
        _message(_NEWRULE, family, 4, _rule() + _attribute(4, _accepting(), _NESTED), _CREATE),
    )


def deletion(family: int, handle: int) -> bytes:
    """Return a batch that deletes the rule with that handle, answered as 2."""
    where = _rule() + _attribute(3, handle.to_bytes(8, "big"))
    return _batch(_message(_DELRULE, family, 2, where))


def removal(family: int) -> bytes:
    """Return a batch that deletes the table with all that is in it, answered as 2."""
    return _batch(_message(_DELTABLE, family, 2, _attribute(1, _NAME)))


def listing(family: int) -> bytes:
    """Return a message that asks for all rules of a family."""
    return _message(_GETRULE, family, 2, b"", netlink.DUMP)


def verdicts(stream: bytes) -> Iterator[tuple[int, int]]:
    """Yield sequence number and error (0 for none) of each message that says how it went."""
    at = 0
    while at + netlink.HEADER.size + 4 <= len(stream):
        length, kind, _, sequence, _ = netlink.HEADER.unpack_from(stream, at)
        if length < netlink.HEADER.size:
            return
        if kind in {netlink.ERROR, netlink.DONE}:
            yield sequence, -struct.unpack_from("=i", stream, at + netlink.HEADER.size)[0]
        at += (length + 3) & ~3


def handles(stream: bytes, path: str) -> list[int]:
    """Return the handles of the rules in an answer to ``listing``."""
    found = []
    for kind, body in netlink.messages(stream, path):
        if kind == _kind(_NEWRULE):
            if len(body) < 4:
                raise errors.UnreadableError(path, f"a rule message of {len(body)} bytes")
            handle = netlink.attributes(body[4:], path).get(3, b"")
            found.append(int.from_bytes(bytes(handle), "big"))
    return found


def _rule() -> bytes:
    return _attribute(1, _NAME) + _attribute(2, _NAME)


def _accepting() -> bytes:
    """Return the list of expressions: write the verdict "accept" into the register of verdicts."""
    code = _attribute(1, struct.pack(">i", _ACCEPT))
    verdict = _attribute(2, _attribute(2, code, _NESTED), _NESTED)
    data = _attribute(1, struct.pack(">I", 0)) + verdict
    immediate = _attribute(1, b"immediate\0") + _attribute(2, data, _NESTED)
    return _attribute(1, immediate, _NESTED)


def _kind(message: int) -> int:
    return _SUBSYSTEM << 8 | message


def _attribute(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return netlink.attribute(kind | flags, payload)


def _message(message: int, family: int, sequence: int, body: bytes, flags: int = 0) -> bytes:
    flags |= netlink.REQUEST | (0 if flags & netlink.DUMP == netlink.DUMP else netlink.ACKNOWLEDGE)
    content = struct.pack("=BBH", family, 0, 0) + body
    size = netlink.HEADER.size + len(content)
    return netlink.HEADER.pack(size, _kind(message), flags, sequence, 0) + content


def _batch(*changes: bytes) -> bytes:
    """Return changes as one transaction; the subsystem is named in network order."""
    subsystem = struct.pack("=BB", 0, 0) + struct.pack(">H", _SUBSYSTEM)
    size = netlink.HEADER.size + len(subsystem)
    begin = netlink.HEADER.pack(size, _BEGIN, netlink.REQUEST, 1, 0) + subsystem
    end = netlink.HEADER.pack(size, _END, netlink.REQUEST, 9, 0) + subsystem
    return begin + b"".join(changes) + end
