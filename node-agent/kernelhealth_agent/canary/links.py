"""The canary's devices: include/uapi/linux/if_link.h, linux/veth.h."""

from __future__ import annotations

import os
import socket
import struct

from kernelhealth_agent.kernel import netlink

_NEWLINK, _DELLINK = 16, 17
_IFNAME, _LINKINFO, _NET_NS_PID = 3, 18, 19
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_EXCLUSIVE = 0x600  # NLM_F_CREATE | NLM_F_EXCL
_LINK = struct.Struct("=BxHiII")
_RECEIVE = 1 << 16


def exists(name: str) -> bool:
    """Whether there is a device of that name; the kernel takes no lock to list them.

    Asked by an ioctl for one that is gone, it would call modprobe for a module of that name
    (net/core/dev_ioctl.c: dev_load), each time.
    """
    with open("/proc/thread-self/net/dev", "rb") as devices:  # noqa: PTH123 - Costs an import.
        return any(line.lstrip().startswith(f"{name}:".encode()) for line in devices)


def add_pair(name: str, pid: int) -> None:
    """Make a veth pair with its other end, of that name, where the process is; ``OSError``."""
    there = _string(_IFNAME, name) + netlink.attribute(_NET_NS_PID, struct.pack("=I", pid))
    data = netlink.attribute(_VETH_PEER, _LINK.pack(0, 0, 0, 0, 0) + there)
    info = _string(_INFO_KIND, "veth") + netlink.attribute(_INFO_DATA, data)
    _ask(_NEWLINK, _EXCLUSIVE, _string(_IFNAME, "eth0") + netlink.attribute(_LINKINFO, info))


def delete(name: str) -> None:
    """Delete a device; ``OSError``."""
    _ask(_DELLINK, 0, _string(_IFNAME, name))


def _string(kind: int, text: str) -> bytes:
    return netlink.attribute(kind, text.encode() + b"\0")


def _ask(kind: int, flags: int, attributes: bytes) -> None:
    body = _LINK.pack(0, 0, 0, 0, 0) + attributes
    flags |= netlink.REQUEST | netlink.ACKNOWLEDGE
    header = netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as asked:
        asked.sendto(header + body, (0, 0))
        answer = asked.recv(_RECEIVE)
    code: int = struct.unpack_from("=i", answer, netlink.HEADER.size)[0]
    if code:
        raise OSError(-code, os.strerror(-code))
