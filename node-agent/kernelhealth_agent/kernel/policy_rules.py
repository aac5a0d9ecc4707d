"""IPv6 policy routing rules: include/uapi/linux/fib_rules.h, net/core/fib_rules.c."""

from __future__ import annotations

import dataclasses
import ipaddress
import struct
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import naming, netlink
from kernelhealth_agent.kernel.netlink import Request

_ROUTE, _NEWRULE, _GETRULE, _INET6 = 0, 32, 34, 10
_DST, _SRC, _IIFNAME, _PRIORITY, _FWMARK, _SUPPRESS_PREFIXLEN = 1, 2, 3, 6, 10, 14
_TABLE, _FWMASK, _OIFNAME, _PROTOCOL = 15, 16, 17, 21
_HEADER = struct.Struct("=BBBBBBBBI")
_INVERT = 2
_TABLES = {253: "default", 254: "main", 255: "local"}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that suppresses routes: *text* as ``ip -6 rule`` prints it.

    *protocol* says what kind of program added it (RTPROT_*, Linux 4.17), *companion* is the rule
    for unmarked packets beside it, whose mark is its table, as wg-quick adds it.
    """

    priority: int
    suppress: int
    text: str
    protocol: int = 0
    companion: str | None = None


def request() -> Request:
    """Ask for all IPv6 rules."""
    return Request("rules6", _ROUTE, _GETRULE, _HEADER.pack(_INET6, 0, 0, 0, 0, 0, 0, 0, 0))


def suppressing(stream: bytes, path: str) -> tuple[Rule, ...]:
    """Decode an answer to ``request``: the rules with a suppress_prefixlength (-1 is none)."""
    found, companion = [], None
    for kind, body in netlink.messages(stream, path):
        if kind != _NEWRULE:
            continue
        if len(body) < _HEADER.size:
            raise errors.UnreadableError(path, f"a rule message of {len(body)} bytes")
        if body[0] != _INET6:
            continue  # A kernel without IPv6 rules answers with those of all families instead.
        values = netlink.attributes(body[_HEADER.size :], path)
        length = netlink.number(values.get(_SUPPRESS_PREFIXLEN), path, signed=True)
        if length is not None and length >= 0:
            priority = netlink.number(values.get(_PRIORITY), path) or 0
            text = f"{priority}: {_text(body, values, path)}"
            found.append(Rule(priority, length, text, _protocol(values)))
        elif _is_for_unmarked(body, values, path):
            companion = _text(body, values, path)
    return tuple(dataclasses.replace(rule, companion=companion) for rule in found)


def _protocol(values: dict[int, memoryview]) -> int:
    """Return the protocol, one byte."""
    return int.from_bytes(bytes(values.get(_PROTOCOL, b""))[:1], "big")


def _is_for_unmarked(body: memoryview, values: dict[int, memoryview], path: str) -> bool:
    """Whether a rule sends what does not bear a mark to the table that the mark is named after."""
    mark = netlink.number(values.get(_FWMARK), path)
    return bool(_HEADER.unpack_from(body)[8] & _INVERT and mark) and mark == (
        netlink.number(values.get(_TABLE), path) or _HEADER.unpack_from(body)[4]
    )


def _text(body: memoryview, values: dict[int, memoryview], path: str) -> str:
    """Return what follows the priority, in the order and the words of iproute2."""
    _, dst_length, src_length, _, table, *_, flags = _HEADER.unpack_from(body)
    source, target = values.get(_SRC), values.get(_DST)
    words = ["not"] if flags & _INVERT else []
    words += ["from", "all" if source is None else _network(source, src_length, path)]
    if target is not None:
        words += ["to", _network(target, dst_length, path)]
    if mark := netlink.number(values.get(_FWMARK), path):
        mask = netlink.number(values.get(_FWMASK), path)
        words += [
            "fwmark",
            f"{mark:#x}" + (f"/{mask:#x}" if mask not in {None, 0xFFFFFFFF} else ""),
        ]
    for word, attribute in (("iif", _IIFNAME), ("oif", _OIFNAME)):
        name = netlink.text(values.get(attribute))
        words += [word, naming.short(name)] if name else []
    number = netlink.number(values.get(_TABLE), path) or table
    words += ["lookup", _TABLES.get(number, str(number))]
    length = netlink.number(values.get(_SUPPRESS_PREFIXLEN), path, signed=True)
    if length is not None and length >= 0:
        words += ["suppress_prefixlength", str(length)]
    return " ".join(words)


def _network(payload: memoryview, length: int, path: str) -> str:
    if len(payload) != 16 or length > 128:
        raise errors.UnreadableError(path, f"an address of {len(payload)} bytes, {length} bits")
    address = str(ipaddress.IPv6Address(bytes(payload)))
    return address if length == 128 else f"{address}/{length}"
