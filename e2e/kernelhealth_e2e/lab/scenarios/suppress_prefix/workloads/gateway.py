"""A VPN gateway in a pod, as wg-quick and a firewall set one up, and its peers' traffic.

What peers send comes out of a TUN device. The main table's default route leads elsewhere, and the
rule with suppress_prefixlength throws it away, so that the answers go back into the tunnel. The
firewall asks for each packet whether its sender would be reached the way it came: that lookup has
to pass the rule. On kernels with the fault (before cdef485217d3) a route is lost with each packet.

Runs until it is ended, where there is Python and nothing else:
``python3 gateway.py COUNT_FILE RATE``.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
import struct
import sys
import time

TUNNEL, UPLINK = "wg-lab", "eth0"
MARK, MAIN = 51820, 254
PRIORITY = 32764
TABLE, CHAIN = "firewall", "prerouting"
GATEWAY, PEER = "fd00:51::1", "fd00:51::2"
_PORT = 5182
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_PAYLOAD = b"from a peer"
_BATCHES_EACH_SECOND = 20
_UDP = 17

# include/uapi/linux/if.h, rtnetlink.h and fib_rules.h
_UP, _STATIC, _UNICAST, _TO_TABLE, _NOT = 1, 4, 1, 1, 2
_OUT, _TABLE = 4, 15
_PRIORITY, _FWMARK, _SUPPRESS_PREFIXLEN = 6, 10, 14

# include/uapi/linux/netfilter/nf_tables.h and nfnetlink.h
_NETLINK_NETFILTER = 12
_BATCH_BEGIN, _BATCH_END, _NFTABLES = 16, 17, 10
_NEWTABLE, _NEWCHAIN, _NEWRULE = 0, 3, 6
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
_NESTED, _ERROR = 0x8000, 2
_PREROUTING, _RAW = 0, -300
_SADDR, _IIF, _PRESENT, _OIF = 1, 8, 32, 1
_DROP, _VERDICT, _FIRST = 0, 0, 8


def tunnel() -> int:
    """Create the TUN device and return the end that a VPN program has of it."""
    end = os.open("/dev/net/tun", os.O_RDWR)
    wanted = struct.pack("16sH22x", TUNNEL.encode(), _IFF_TUN | _IFF_NO_PI)
    fcntl.ioctl(end, _TUNSETIFF, wanted)
    return end


def attribute(kind: int, payload: bytes) -> bytes:
    """Return a netlink attribute."""
    padding = -len(payload) % 4
    return struct.pack("=HH", 4 + len(payload), kind) + payload + b"\0" * padding


def number(kind: int, value: int) -> bytes:
    """Return an attribute that is a number of 32 bits, as nftables has them."""
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def native(kind: int, value: int) -> bytes:
    """Return an attribute that is a number of 32 bits, as routing has them."""
    return attribute(kind, struct.pack("=I", value))


def text(kind: int, value: str) -> bytes:
    """Return an attribute that is a string."""
    return attribute(kind, value.encode() + b"\0")


def nested(kind: int, *inner: bytes) -> bytes:
    """Return an attribute that consists of attributes."""
    return attribute(kind | _NESTED, b"".join(inner))


def message(kind: int, flags: int, body: bytes) -> bytes:
    """Return a message of netlink."""
    return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, 1, 0) + body


def order(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    """Return a message of nftables; those that begin and end a batch belong to no subsystem."""
    if kind in {_BATCH_BEGIN, _BATCH_END}:
        return message(kind, 0, struct.pack(">BBH", 0, 0, _NFTABLES))
    body = struct.pack(">BBH", socket.AF_INET6, 0, 0) + body
    return message(_NFTABLES << 8 | kind, _ACK | _CREATE | flags, body)


def tell(protocol: int, answers: int, *messages: bytes) -> None:
    """Send messages at once, and take the answers; OSError where one is no."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as netlink:
        netlink.send(b"".join(messages))
        for _ in range(answers):
            kind, error = struct.unpack_from("=4xH10xi", netlink.recv(1 << 16))
            if kind != _ERROR or error:
                raise OSError(-error, f"refused: {os.strerror(-error)}")


def route_like_wg_quick() -> None:
    """Send all IPv6 traffic into the tunnel, but for the addresses that are nearer."""
    index, uplink = socket.if_nametoindex(TUNNEL), socket.if_nametoindex(UPLINK)
    family, gateway = socket.AF_INET6, ipaddress.IPv6Address(GATEWAY).packed
    up = struct.pack("=BxHiII", 0, 0, index, _UP, _UP)
    address = struct.pack("=BBBBI", family, 128, 0, 0, index) + attribute(2, gateway)
    around, within = (
        struct.pack("=8BI", family, 0, 0, 0, 0, _STATIC, 0, _UNICAST, 0)
        + native(_OUT, link)
        + native(_TABLE, table)
        for link, table in ((uplink, MAIN), (index, MARK))
    )
    unmarked = struct.pack("=8BI", family, 0, 0, 0, 0, 0, 0, _TO_TABLE, _NOT)
    unmarked += native(_PRIORITY, PRIORITY + 1) + native(_FWMARK, MARK) + native(_TABLE, MARK)
    nearer = struct.pack("=8BI", family, 0, 0, 0, MAIN, 0, 0, _TO_TABLE, 0)
    nearer += native(_PRIORITY, PRIORITY) + native(_SUPPRESS_PREFIXLEN, 0)
    bodies = ((16, up), (20, address), (24, around), (24, within), (32, unmarked), (32, nearer))
    for kind, body in bodies:
        tell(socket.NETLINK_ROUTE, 1, message(kind, _ACK | _CREATE, body))


def expression(name: str, *data: bytes) -> bytes:
    """Return one step of a rule."""
    return nested(1, text(1, name), nested(2, *data))


def filter_by_reverse_path() -> None:
    """Drop what would not be answered the way it came: fib saddr . iif oif missing drop."""
    hook = nested(4, number(1, _PREROUTING), number(2, _RAW))
    fib = expression("fib", number(1, _FIRST), number(2, _OIF), number(3, _SADDR | _IIF | _PRESENT))
    missing = expression("cmp", number(1, _FIRST), number(2, 0), nested(3, attribute(1, bytes(4))))
    verdict = nested(2, nested(2, number(1, _DROP)))
    drop = expression("immediate", number(1, _VERDICT), verdict)
    rule = text(1, TABLE) + text(2, CHAIN) + nested(4, fib, missing, drop)
    chain = text(1, TABLE) + text(3, CHAIN) + hook + text(7, "filter")
    tell(
        _NETLINK_NETFILTER,
        3,
        order(_BATCH_BEGIN),
        order(_NEWTABLE, text(1, TABLE)),
        order(_NEWCHAIN, chain),
        order(_NEWRULE, rule, _APPEND),
        order(_BATCH_END),
    )


def packet() -> bytes:
    """Return what a peer sends: a UDP datagram to the gateway."""
    ends = ipaddress.IPv6Address(PEER).packed + ipaddress.IPv6Address(GATEWAY).packed
    length = 8 + len(_PAYLOAD)
    datagram = struct.pack(">HHHH", _PORT, _PORT, length, 0) + _PAYLOAD
    total = ends + struct.pack(">II", length, _UDP) + datagram + b"\0" * (length % 2)
    checksum = sum(struct.unpack(f">{len(total) // 2}H", total))
    while checksum > 0xFFFF:
        checksum = (checksum & 0xFFFF) + (checksum >> 16)
    datagram = struct.pack(">HHHH", _PORT, _PORT, length, ~checksum & 0xFFFF) + _PAYLOAD
    return struct.pack(">IHBB", 6 << 28, length, _UDP, 64) + ends + datagram


def main() -> None:
    """Set it all up, and let a peer send so many packets a second."""
    counted, rate = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), int(sys.argv[2])
    end = tunnel()
    route_like_wg_quick()
    filter_by_reverse_path()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as service:
        # Nobody has to read it: what is of interest has happened by then.
        service.bind((GATEWAY, _PORT))
        sent, one, due = 0, packet(), time.monotonic()
        while True:
            for _ in range(max(1, rate // _BATCHES_EACH_SECOND)):
                os.write(end, one)
                sent += 1
            os.pwrite(counted, b"%012d\n" % sent, 0)  # Whoever reads it finds a whole number.
            due = max(due + 1 / _BATCHES_EACH_SECOND, time.monotonic())
            # The pace of the peers: there is nothing that they wait for.
            time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
