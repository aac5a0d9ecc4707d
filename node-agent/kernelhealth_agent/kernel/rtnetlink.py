"""Links, addresses and namespace ids: include/uapi/linux/{rtnetlink,if_link,net_namespace}.h.

Requests are built here and answers decoded here, so that what was asked and what is understood of
the answer stand side by side.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import netlink
from kernelhealth_agent.kernel.netlink import Request

_NEWLINK, _GETLINK, _NEWADDR, _GETADDR, _NEWNSID, _GETNSID = 16, 18, 20, 22, 88, 90
_SETLINK = 19
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 5, 10, 18
_IFLA_LINK_NETNSID, _IFLA_TARGET_NETNSID, _IFLA_PARENT_DEV_NAME = 37, 46, 56
_INFO_KIND = 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_TARGET_NETNSID = 1, 2, 10
_NETNSA_NSID, _NETNSA_FD = 1, 3
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = 0
_SIZES = {2: 4, 10: 16}  # Bytes of an address by family: AF_INET, AF_INET6.


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface; *peer_nsid* is the namespace of its other end, *parent* its device."""

    index: int
    name: str
    kind: str
    mac: str
    peer_index: int | None
    peer_nsid: int | None
    master: int | None
    parent: str | None


@dataclass(frozen=True, slots=True)
class Address:
    """One address of an interface."""

    index: int
    address: str


def _target(attribute: int, nsid: int | None) -> bytes:
    return b"" if nsid is None else netlink.attribute(attribute, struct.pack("=i", nsid))


def links_request(nsid: int | None = None) -> Request:
    """Ask for all links, of the namespace with that id in the asked one (Linux >= 4.20)."""
    name = "links" if nsid is None else f"links-of-nsid-{nsid}"
    body = _LINK.pack(0, 0, 0, 0, 0) + _target(_IFLA_TARGET_NETNSID, nsid)
    return Request(name, _ROUTE, _GETLINK, body)


def addresses_request(nsid: int | None = None) -> Request:
    """Ask for all addresses, of the namespace with that id in the asked one (Linux >= 4.20)."""
    name = "addresses" if nsid is None else f"addresses-of-nsid-{nsid}"
    body = _ADDRESS.pack(0, 0, 0, 0, 0) + _target(_IFA_TARGET_NETNSID, nsid)
    return Request(name, _ROUTE, _GETADDR, body)


def nsids_request() -> Request:
    """Ask for the ids of all namespaces that have one in the asked one (Linux >= 4.1)."""
    return Request("nsids", _ROUTE, _GETNSID, bytes(4))


def nsid_message(descriptor: int, sequence: int) -> bytes:
    """Return a whole message that asks for the id of the namespace behind a descriptor."""
    body = bytes(4) + netlink.attribute(_NETNSA_FD, struct.pack("=i", descriptor))
    size = netlink.HEADER.size + len(body)
    return netlink.HEADER.pack(size, _GETNSID, netlink.REQUEST, sequence, 0) + body


def known_message(nsid: int) -> bytes:
    """Return a whole message that asks whether an id is in use (Linux >= 4.20)."""
    body = bytes(4) + netlink.attribute(_NETNSA_NSID, struct.pack("=i", nsid))
    size = netlink.HEADER.size + len(body)
    return netlink.HEADER.pack(size, _GETNSID, netlink.REQUEST, nsid, 0) + body


def move_message(index: int, nsid: int) -> bytes:
    """Return a whole message that moves a link to the namespace with that id (Linux >= 4.15)."""
    body = _LINK.pack(0, 0, index, 0, 0) + _target(_IFLA_TARGET_NETNSID, nsid)
    flags = netlink.REQUEST | netlink.ACKNOWLEDGE
    return netlink.HEADER.pack(netlink.HEADER.size + len(body), _SETLINK, flags, 1, 0) + body


def links(stream: bytes, path: str) -> tuple[Link, ...]:
    """Decode an answer to ``links_request``."""
    return tuple(
        _link(body, path) for kind, body in netlink.messages(stream, path) if kind == _NEWLINK
    )


def _link(body: memoryview, path: str) -> Link:
    if len(body) < _LINK.size:
        raise errors.UnreadableError(path, f"a link message of {len(body)} bytes")
    index = _LINK.unpack_from(body)[2]
    found = netlink.attributes(body[_LINK.size :], path)
    info = found.get(_IFLA_LINKINFO)
    kind = netlink.attributes(info, path).get(_INFO_KIND) if info is not None else None
    return Link(
        index=index,
        name=netlink.text(found.get(_IFLA_IFNAME)) or "",
        kind=netlink.text(kind) or "",
        mac=bytes(found.get(_IFLA_ADDRESS, b"")).hex(":"),
        peer_index=netlink.number(found.get(_IFLA_LINK), path),
        peer_nsid=netlink.number(found.get(_IFLA_LINK_NETNSID), path, signed=True),
        master=netlink.number(found.get(_IFLA_MASTER), path),
        parent=netlink.text(found.get(_IFLA_PARENT_DEV_NAME)),
    )


def addresses(stream: bytes, path: str) -> tuple[Address, ...]:
    """Decode an answer to ``addresses_request``; the own end of point-to-point addresses."""
    found = []
    for kind, body in netlink.messages(stream, path):
        if kind != _NEWADDR:
            continue
        if len(body) < _ADDRESS.size:
            raise errors.UnreadableError(path, f"an address message of {len(body)} bytes")
        family, *_, index = _ADDRESS.unpack_from(body)
        values = netlink.attributes(body[_ADDRESS.size :], path)
        raw = values.get(_IFA_LOCAL, values.get(_IFA_ADDRESS))
        if raw is not None and len(raw) == _SIZES.get(family):
            found.append(Address(index, str(ipaddress.ip_address(bytes(raw)))))
    return tuple(found)


def nsids(stream: bytes, path: str) -> tuple[int, ...]:
    """Decode an answer to ``nsids_request`` or to messages of ``nsid_message``; -1 means none."""
    found = []
    for kind, body in netlink.messages(stream, path):
        if kind == _NEWNSID and len(body) >= 4:
            value = netlink.attributes(body[4:], path).get(_NETNSA_NSID)
            nsid = netlink.number(value, path, signed=True)
            if nsid is not None:
                found.append(nsid)
    return tuple(found)
