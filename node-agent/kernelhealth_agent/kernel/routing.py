"""Routes and policy rules of both families: include/uapi/linux/{rtnetlink,fib_rules}.h."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import netlink
from kernelhealth_agent.kernel.netlink import Request

MAIN_TABLE = 254
_NEWROUTE, _GETROUTE, _NEWRULE, _GETRULE = 24, 26, 32, 34
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_TABLE, _RTA_VIA = 1, 4, 5, 15, 18
_FRA_DST, _FRA_SRC, _FRA_PRIORITY, _FRA_TABLE = 1, 2, 6, 15
_UNICAST = 1
_INVERT = 2
# struct rtmsg and struct fib_rule_hdr agree in what is needed: family, lengths of destination and
# source, type of service, table, three more bytes (the last is the type), flags.
_HEADER = struct.Struct("=BBBBBxxBI")
_BYTES = {2: 4, 10: 16}


@dataclass(frozen=True, slots=True)
class HostRoute:
    """A route to one address that leads directly to the link with that index."""

    address: str
    index: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy rule; *source* and *destination* are single addresses, or None for all else.

    A rule for all packets but those (``not``) is for none of them.
    """

    priority: int
    table: int
    source: str | None
    destination: str | None

    def __str__(self) -> str:
        """The rule as ``ip rule`` prints it."""
        table = "main" if self.table == MAIN_TABLE else str(self.table)
        to = f" to {self.destination}" if self.destination else ""
        return f"{self.priority}: from {self.source or 'all'}{to} lookup {table}"


def routes_request() -> Request:
    """Ask for the routes of the main table; kernels before 4.20 answer with every table."""
    body = _HEADER.pack(0, 0, 0, 0, MAIN_TABLE, 0, 0)
    return Request("routes", 0, _GETROUTE, body)


def rules_request() -> Request:
    """Ask for all policy rules of both families."""
    return Request("rules", 0, _GETRULE, _HEADER.pack(0, 0, 0, 0, 0, 0, 0))


def host_routes(stream: bytes, path: str) -> tuple[HostRoute, ...]:
    """Decode an answer to ``routes_request``; routes of another kind are left out."""
    found = []
    for kind, body in netlink.messages(stream, path):
        if kind != _NEWROUTE:
            continue
        family, length, _, _, table, form, _ = _header(body, path)
        if form != _UNICAST:
            continue
        values = netlink.attributes(body[_HEADER.size :], path)
        address = _single(values.get(_RTA_DST), family, length)
        index = netlink.number(values.get(_RTA_OIF), path)
        table = netlink.number(values.get(_RTA_TABLE), path) or table
        direct = _RTA_GATEWAY not in values and _RTA_VIA not in values
        if address is not None and index is not None and table == MAIN_TABLE and direct:
            found.append(HostRoute(address, index))
    return tuple(found)


def rules(stream: bytes, path: str) -> tuple[Rule, ...]:
    """Decode an answer to ``rules_request``."""
    found = []
    for kind, body in netlink.messages(stream, path):
        if kind != _NEWRULE:
            continue
        family, to, source, _, table, _, flags = _header(body, path)
        values = netlink.attributes(body[_HEADER.size :], path)
        found.append(
            Rule(
                priority=netlink.number(values.get(_FRA_PRIORITY), path) or 0,
                table=netlink.number(values.get(_FRA_TABLE), path) or table,
                source=None if flags & _INVERT else _single(values.get(_FRA_SRC), family, source),
                destination=None if flags & _INVERT else _single(values.get(_FRA_DST), family, to),
            )
        )
    return tuple(found)


def _header(body: memoryview, path: str) -> tuple[int, ...]:
    if len(body) < _HEADER.size:
        raise errors.UnreadableError(path, f"a route or rule message of {len(body)} bytes")
    return _HEADER.unpack_from(body)


def _single(raw: memoryview | None, family: int, length: int) -> str | None:
    """Return an address that is alone in its prefix."""
    size = _BYTES.get(family)
    if raw is None or size is None or len(raw) != size or length != 8 * size:
        return None
    return str(ipaddress.ip_address(bytes(raw)))
