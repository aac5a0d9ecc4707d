"""Rules of nftables that look up routes: include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import naming, netlink
from kernelhealth_agent.kernel.netlink import Request

_NETFILTER, _SUBSYSTEM = 12, 10 << 8
_NEWRULE, _GETRULE = _SUBSYSTEM | 6, _SUBSYSTEM | 7
_TABLE, _CHAIN, _HANDLE, _EXPRESSIONS = 1, 2, 3, 4
_EXPRESSION_NAME, _EXPRESSION_DATA, _MATCH_NAME = 1, 2, 1
_META_KEY, _NFPROTO, _CMP_OP, _CMP_DATA, _EQ, _IPV4 = 2, 15, 2, 3, 0, 2
_HEADER = struct.Struct("=BBH")
_FAMILIES = {1: "inet", 5: "netdev", 10: "ip6"}


@dataclass(frozen=True, slots=True)
class FibUser:
    """A rule that looks up an IPv6 route for the packets that reach it; *what* is its expression.

    *chain* and *handle* are empty for a table of ip6tables, whose rules are not asked for.
    """

    family: str
    table: str
    chain: str
    handle: int | None
    what: str

    @property
    def text(self) -> str:
        """The rule as nft names it, for ``nft delete rule``."""
        if self.handle is None:
            return f"{self.family} {self.table} ({self.what})"
        return f"{self.family} {self.table} {self.chain} handle {self.handle} ({self.what})"


def request() -> Request:
    """Ask for all rules of all families. Needs nf_tables in the kernel, else it gets loaded."""
    return Request("nft-rules", _NETFILTER, _GETRULE, _HEADER.pack(0, 0, 0))


def fib_users(stream: bytes, path: str) -> tuple[FibUser, ...]:
    """Decode an answer to ``request``: rules for IPv6 with a fib expression or rpfilter match."""
    if b"fib\0" not in stream and b"rpfilter\0" not in stream:
        return ()
    found = []
    for kind, body in netlink.messages(stream, path):
        if kind != _NEWRULE:
            continue
        if len(body) < _HEADER.size:
            raise errors.UnreadableError(path, f"a rule message of {len(body)} bytes")
        family = _FAMILIES.get(body[0])
        values = netlink.attributes(body[_HEADER.size :], path)
        what = _lookup(values.get(_EXPRESSIONS, memoryview(b"")), path)
        if family is not None and what is not None:
            handle = bytes(values.get(_HANDLE, b""))
            found.append(
                FibUser(
                    family,
                    naming.short(netlink.text(values.get(_TABLE))),
                    naming.short(netlink.text(values.get(_CHAIN))),
                    int.from_bytes(handle, "big"),
                    what,
                )
            )
    return tuple(found)


def _lookup(expressions: memoryview, path: str) -> str | None:
    """Return the expression that looks up a route; None where only IPv4 packets get that far."""
    family_asked = False
    for _, expression in netlink.listed(expressions, path):
        values = netlink.attributes(expression, path)
        name = netlink.text(values.get(_EXPRESSION_NAME))
        data = netlink.attributes(values.get(_EXPRESSION_DATA, memoryview(b"")), path)
        if name == "fib":
            return "fib"
        if name == "match" and netlink.text(data.get(_MATCH_NAME)) == "rpfilter":
            return "rpfilter"
        if name == "cmp" and family_asked and _only_ipv4(data, path):
            return None
        family_asked = name == "meta" and _big(data.get(_META_KEY)) == _NFPROTO
    return None


def _only_ipv4(data: dict[int, memoryview], path: str) -> bool:
    """Whether a comparison lets IPv4 pass and nothing else: ``meta nfproto ipv4``."""
    value = netlink.attributes(data.get(_CMP_DATA, memoryview(b"")), path).get(1)
    return _big(data.get(_CMP_OP)) == _EQ and value is not None and bytes(value) == bytes([_IPV4])


def _big(payload: memoryview | None) -> int | None:
    """Return a number in network order, as netfilter has them, unlike the rest of netlink."""
    return None if payload is None else int.from_bytes(bytes(payload), "big")
