"""The end of a connection that pours out more than 2^31 bytes before it reads: a pod's program.

What its client sends closes its window meanwhile. ``client.py`` says what for. Orders
come on a connection of their own. What happens is told line by line, as JSON. It needs a privileged
container.
"""

from __future__ import annotations

import argparse
import errno
import itertools
import json
import os
import pathlib
import select
import signal
import socket
import struct
from typing import TextIO

ORDERS, DATA = 7000, 7001
_PART = 1 << 20
_SETTINGS = pathlib.Path("/proc/sys/net/ipv4")
_LONG = 5000
"""Milliseconds before anything is sent a second time: the other end may be as slow as that."""


def main() -> None:
    """Serve one client, which may connect anew, until all it has to send was read."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: server.py --lazy")
    parser.add_argument("--lazy", action="store_true", help="read only once SIGUSR1 has come")
    parser.add_argument("--processor", type=int, default=0, help="the one it runs on")
    arguments = parser.parse_args()
    # Of several processors one would overtake the other with segments.
    os.sched_setaffinity(0, {arguments.processor})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    with socket.create_server(("", ORDERS)) as orders_at, socket.create_server(("", DATA)) as at:
        _say("listens")
        said, (client, _) = orders_at.accept()
        with said, said.makefile("r") as orders:
            _send_nothing_twice(client)
            wanted = int(orders.readline())
            said.sendall(b"connect\n")
            for number in itertools.count(1):
                connection, _ = at.accept()
                with connection:
                    if number == 1:
                        said.sendall(b"%d\n" % _poured(connection, orders))
                        if arguments.lazy:
                            signal.sigwait({signal.SIGUSR1})
                    if _has_read(connection, wanted):
                        break
    _say("ended", bytes=wanted, connections=number)


def _send_nothing_twice(client: str) -> None:
    """Let no segment be repeated because the client was slow: that would not be the fast path."""
    for name in ("tcp_early_retrans", "tcp_recovery"):
        (_SETTINGS / name).write_text("0")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(_route(client))
        (error,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    if error:
        raise OSError(-error, f"no route to {client}: {os.strerror(-error)}")


def _route(client: str) -> bytes:
    """Return RTM_NEWROUTE of rtnetlink(7): the way all packets go, with a metric rto_min."""
    ways = (line.split() for line in pathlib.Path("/proc/net/route").read_text().splitlines())
    gateway = next(way[2] for way in ways if way[1] == "00000000")
    body = (
        struct.pack("=8BI", socket.AF_INET, 32, 0, 0, 254, 4, 0, 1, 0)
        + _attribute(1, socket.inet_aton(client))
        + _attribute(5, struct.pack("=I", int(gateway, 16)))
        + _attribute(8, _attribute(13, struct.pack("=I", _LONG)))
    )
    return struct.pack("=IHHII", 16 + len(body), 24, 0x605, 1, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value


def _poured(connection: socket.socket, orders: TextIO) -> int:
    """Send from one order to the next, and return how many bytes that was."""
    orders.readline()
    sent = 0
    # Pages of a file are not copied, which would take an emulated processor most of its time.
    with os.fdopen(os.memfd_create("poured"), "w+b", buffering=0) as source:
        source.write(bytes(_PART))
        while not select.select([orders], [], [], 0)[0]:
            sent += os.sendfile(connection.fileno(), source.fileno(), 0, _PART)
    orders.readline()
    _say("poured", bytes=sent)
    return sent


def _has_read(connection: socket.socket, wanted: int) -> bool:
    """Read what is wanted and thank for it; False where the connection ended before."""
    buffer, total = bytearray(_PART), 0
    _say("reads")
    try:
        while total < wanted and (count := connection.recv_into(buffer)):
            total += count
        if total == wanted:
            connection.sendall(b"+")
            return True
        _say("disconnected", why="end of file", bytes=total)
    except ConnectionError as error:
        _say("disconnected", why=errno.errorcode[error.errno or 0], bytes=total)
    return False


def _say(event: str, **what: object) -> None:
    print(json.dumps({"event": event, **what}), flush=True)


if __name__ == "__main__":
    main()
