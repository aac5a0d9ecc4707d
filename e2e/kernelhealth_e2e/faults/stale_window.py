"""A TCP connection whose kernel ignores every window that its peer announces: a stale ``snd_wl1``.

The kernel's fault is made by its own means: in repair mode the writer says that it has received the
segment which set its window a gigabyte ahead, and a receive window that shrinks afterwards, which
``tcp_shrink_window`` of that namespace allows, leaves it there. It is then as 2^31 bytes in the
fast path of an old kernel would have left it. Writer and reader are processes of one namespace.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import IPRoute

from kernelhealth_e2e.faults import held_namespace, window_bookkeeping
from kernelhealth_e2e.faults.namespace import Sandbox, sandbox
from kernelhealth_e2e.faults.peers import pipe, process, told

SIZE = 4 << 20
_BUFFER = 16 << 10


@dataclass(frozen=True, slots=True)
class Stall:
    """A writer and a reader that does not read; *ports* are the writer's and the reader's."""

    space: Sandbox
    writer: int
    ports: tuple[int, int]
    to_writer: int
    to_reader: int
    said: int

    def spoil(self) -> None:
        """Let the writer's kernel take a window for newer than all that will be announced."""
        self._order(b"s")

    def shut(self) -> None:
        """Let the writer write no more, and say so to its peer, after what is sent."""
        self._order(b"f")

    def read(self) -> bytes:
        """Let the reader read all; return how many bytes came, or how it ended."""
        os.write(self.to_reader, b"r")
        return told(self.said)

    def _order(self, order: bytes) -> None:
        os.write(self.to_writer, order)
        if (answer := told(self.said)) != b"done":
            raise OSError(f"the writer did not obey: {answer!r}")


@contextlib.contextmanager
def stall() -> Iterator[Stall]:
    """Connect two processes on loopback, and fill the reader's window."""
    with contextlib.ExitStack() as stack:
        space = stack.enter_context(sandbox())
        with held_namespace.inside(space.file):
            with IPRoute() as netlink:
                (index,) = netlink.link_lookup(ifname="lo")
                netlink.link("set", index=index, state="up")
            # proc/sys/net is of the network namespace of the thread that opens it.
            Path("/proc/sys/net/ipv4/tcp_shrink_window").write_text("1")
        said, say = stack.enter_context(pipe())
        orders = [stack.enter_context(pipe()) for _ in range(2)]
        stack.enter_context(process(space, lambda: _read(orders[1][0], say)))
        port = int(told(said))
        writer = stack.enter_context(process(space, lambda: _write(port, orders[0][0], say)))
        yield Stall(space, writer, (int(told(said)), port), orders[0][1], orders[1][1], said)


def _read(orders: int, say: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        os.write(say, str(listener.getsockname()[1]).encode())
        connection, _ = listener.accept()
    os.read(orders, 1)
    total = 0
    try:
        while total < SIZE and (part := connection.recv(1 << 16)):
            total += len(part)
        os.write(say, str(total).encode())
    except ConnectionResetError:
        os.write(say, b"reset")
    signal.pause()


def _write(port: int, orders: int, say: int) -> None:
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", port))
        connection.setblocking(False)
        os.write(say, str(connection.getsockname()[1]).encode())
        left = memoryview(bytes(SIZE))
        while True:
            ready, _, _ = select.select([orders], [connection] if left else [], [])
            left = left[_sent(connection, left) :]
            if not ready:
                continue
            if os.read(orders, 1) == b"s":
                window_bookkeeping.spoil(connection)
            else:
                connection.shutdown(socket.SHUT_WR)
                left = left[:0]
            os.write(say, b"done")


def _sent(connection: socket.socket, data: memoryview) -> int:
    """Send what the connection takes at once, and return how much that was."""
    total = 0
    with contextlib.suppress(BlockingIOError):
        while total < len(data):
            total += connection.send(data[total:])
    return total


def main() -> None:
    """Stall until standard input ends, and tell how it ended for the reader if it does before."""
    parser = argparse.ArgumentParser(
        prog="stale_window", description=__doc__, epilog="example: stale_window --shut"
    )
    parser.add_argument("--shut", action="store_true", help="the writer has shut down its side")
    arguments = parser.parse_args()
    with stall() as made:
        made.spoil()
        if arguments.shut:
            made.shut()
        os.write(made.to_reader, b"r")
        print("stuck", flush=True)
        ready, _, _ = select.select([made.said, sys.stdin.fileno()], [], [])
        if made.said in ready:
            print(os.read(made.said, 64).decode(), flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main()
