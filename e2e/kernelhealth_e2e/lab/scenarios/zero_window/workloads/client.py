"""The end of a connection that cannot send while it receives more than 2^31 bytes: a pod's program.

What it sends closes the window of a server that does not read yet. Once the time between two probes
of that window is long, it has the server pour. A kernel without commit 18a4c0eab262 moves
``snd_wl1`` in none of those segments if all of them take the fast path; then takes it for newer
than any acknowledgement that comes, and never sends again though the server reads. Each other
segment puts it right: they are counted, and after the last of them enough must come. What happens
is told line by line, as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import itertools
import json
import os
import pathlib
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

ORDERS, DATA, SERVER = 7000, 7001, "/run/server"
ENOUGH = 2148 << 20
"""Bytes in a row: more than 2^31 and, with all that is under way when it is said, below 2^32."""
_PART, _LOOK_EVERY, _MOST = 1 << 20, 32 << 20, 16 << 30
_WANTED, _CLOSING_WANTED = 16 << 20, 1 << 20  # The latter is taken by the kernel at once.


def main() -> None:
    """Send until the server has thanked for all of it, on a new connection if need be."""
    arguments = _parser().parse_args()
    # Of several processors one would overtake the other with segments.
    os.sched_setaffinity(0, {arguments.processor})
    wanted = _CLOSING_WANTED if arguments.closing else _WANTED
    server = _server()
    with socket.create_connection((server, ORDERS)) as said, said.makefile("r") as orders:
        said.sendall(b"%d\n" % wanted)
        orders.readline()
        for number in itertools.count(1):
            with socket.socket() as connection:
                left = memoryview(bytes(wanted))
                _connect(connection, server, arguments.reserve << 20)
                if number == 1:
                    left = _stalled(connection, left, arguments.backoff)
                    _receive(connection, said, orders, strict=arguments.reserve > 0)
                if _has_sent(connection, left, closing=arguments.closing):
                    break
    _say("ended", bytes=wanted, connections=number)


def _parser() -> argparse.ArgumentParser:
    example = "example: client.py --backoff 7 --reserve 64"
    parser = argparse.ArgumentParser(description=__doc__, epilog=example)
    add = parser.add_argument
    add("--backoff", type=int, default=1, help="doublings of the time between probes before")
    add("--reserve", type=int, default=0, help="MiB of its own: all must take the fast path")
    add("--closing", action="store_true", help="say at the end that it is the end")
    add("--processor", type=int, default=0, help="the one it runs on")
    return parser


def _server() -> str:
    """Return the address that somebody writes into a pipe, since both pods start at once."""
    os.mkfifo(SERVER)
    _say("waits")
    return pathlib.Path(SERVER).read_text().strip()


def _connect(connection: socket.socket, server: str, reserve: int) -> None:
    if reserve:  # Without any, sockets hardly use the fast path since Linux 6.0.
        connection.setsockopt(socket.SOL_SOCKET, 73, reserve)  # SO_RESERVE_MEM
    connection.connect((server, DATA))
    connection.setblocking(False)


def _stalled(connection: socket.socket, left: memoryview, wanted: int) -> memoryview:
    """Send until the window is closed and was probed often enough; return what is left to send."""
    while (backoff := _backoff(connection)) < wanted:
        left = _pushed(connection, left)
        time.sleep(0.05)  # Nothing tells that a probe was sent.
    _say("closed", backoff=backoff)
    return left


def _backoff(connection: socket.socket) -> int:
    # tcpi_backoff of struct tcp_info, include/uapi/linux/tcp.h.
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64)[4]


def _receive(
    connection: socket.socket, said: socket.socket, orders: TextIO, *, strict: bool
) -> None:
    """Have the server pour, and take it in until enough came in a row."""
    begun, row, end, asked = time.monotonic(), Row(strict, _segments), _MOST, False
    said.sendall(b"pour\n")
    buffer, sources = bytearray(_PART), [connection.fileno(), said.fileno()]
    while row.total < end:
        ready, _, _ = select.select(sources, [], [])
        if connection.fileno() in ready:
            # MSG_TRUNC: the kernel throws it away instead of copying it.
            row.add(connection.recv_into(buffer, _PART, socket.MSG_TRUNC))
        if said.fileno() in ready:
            end = int(orders.readline())
        if row.length >= ENOUGH and not asked:
            asked = True
            said.sendall(b"enough\n")
    every, fast = row.counted()
    counted = {"bytes": row.total, "in_a_row": row.length, "segments": every, "fast": fast}
    _say("received", seconds=round(time.monotonic() - begun, 1), **counted)


@dataclass(slots=True)
class Row:
    """Counts bytes that come in; a *strict* one in a row only those after the last slow segment.

    *segments* returns how many have come to this network ever, all and those of the fast path.
    """

    strict: bool
    segments: Callable[[], tuple[int, int]]
    total: int = 0
    _since: int = 0
    _looked: int = 0
    _slow: int = 0
    _before: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        """Count segments from now on."""
        self._before = self.segments()

    @property
    def length(self) -> int:
        """Bytes in a row."""
        return self.total - self._since

    def counted(self) -> tuple[int, int]:
        """Return the segments so far, all and those of the fast path."""
        (every, fast), before = self.segments(), self._before
        return every - before[0], fast - before[1]

    def add(self, count: int) -> None:
        """Count bytes, and look now and then which way they came."""
        self.total += count
        if not self.strict or self.total - self._looked < _LOOK_EVERY:
            return
        self._looked = self.total
        every, fast = self.counted()
        # After 2^31 bytes nothing puts the window right any more.
        if every - fast > self._slow and self.length < 1 << 31:
            self._since = self.total
        self._slow = max(self._slow, every - fast)


def _segments() -> tuple[int, int]:
    """Return the segments of this network that came in by now, and how many by the fast path."""
    every = _counter("snmp", "Tcp:", "InSegs")
    return every, _counter("netstat", "TcpExt:", "TCPHPHits")


def _counter(file: str, kind: str, name: str) -> int:
    lines = pathlib.Path("/proc/net", file).read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith(f"{kind} "))
    return int(values[names.index(name)])


def _has_sent(connection: socket.socket, left: memoryview, *, closing: bool) -> bool:
    """Send what is left and wait for thanks; False where the connection was ended."""
    try:
        while True:
            left = _pushed(connection, left)
            if closing and not left:
                connection.shutdown(socket.SHUT_WR)
            ready, _, _ = select.select([connection], [connection] if left else [], [])
            if connection in ready:
                return connection.recv(1) == b"+"
    except ConnectionError as error:
        _say("disconnected", why=errno.errorcode[error.errno or 0])
        return False


def _pushed(connection: socket.socket, left: memoryview) -> memoryview:
    """Send what the kernel takes at once, and return the rest."""
    with contextlib.suppress(BlockingIOError):
        while left:
            left = left[connection.send(left[:_PART]) :]
    return left


def _say(event: str, **what: object) -> None:
    print(json.dumps({"event": event, **what}), flush=True)


if __name__ == "__main__":
    main()
