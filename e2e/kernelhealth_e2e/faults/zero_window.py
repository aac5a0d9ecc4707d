"""A TCP connection between two namespaces whose reader does not read: its window stays closed.

To the writer's kernel this looks like the stale ``snd_wl1`` that makes a kernel ignore windows, but
for what ``snd_wl1`` and the reader's receive queue say. Nothing of it touches the host's namespace.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from pyroute2 import IPRoute

from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import Sandbox, sandbox
from kernelhealth_e2e.faults.peers import pipe, process, told

_BUFFER = 16 << 10
IPV4 = ("192.0.2.1/30", "192.0.2.2/30")
IPV6 = ("2001:db8::1/64", "2001:db8::2/64")


@dataclass(frozen=True, slots=True)
class Stall:
    """The two processes and their namespaces; *size* bytes are to be sent in all."""

    writer: Sandbox
    reader: Sandbox
    writer_pid: int
    reader_pid: int
    size: int
    orders: int
    done: int

    def read(self) -> int:
        """Let the reader read to the end; return how many bytes came."""
        os.write(self.orders, b"r")
        return int(told(self.done))


@contextlib.contextmanager
def zero_window(
    addresses: tuple[str, str] = IPV4, size: int = 4 << 20, *, blocking: bool = False
) -> Iterator[Stall]:
    """Connect two namespaces and stall; *addresses* are the writer's and the reader's.

    A *blocking* writer waits in send(2), any other in select(2).
    """
    with contextlib.ExitStack() as stack:
        writer, reader = stack.enter_context(sandbox()), stack.enter_context(sandbox())
        _connect(writer, reader, addresses)
        (heard, orders), (done, tell) = stack.enter_context(pipe()), stack.enter_context(pipe())
        (port_at, port_to) = stack.enter_context(pipe())
        there = addresses[1].partition("/")[0]
        reader_pid = stack.enter_context(
            process(reader, lambda: _read(there, (heard, tell, port_to)))
        )
        port = int(told(port_at))
        writer_pid = stack.enter_context(
            process(writer, lambda: _write((there, port), size, port_to, blocking=blocking))
        )
        told(port_at)  # It is connected.
        yield Stall(writer, reader, writer_pid, reader_pid, size, orders, done)


def _connect(writer: Sandbox, reader: Sandbox, addresses: tuple[str, str]) -> None:
    """Join two namespaces by a veth pair; it goes with them."""
    with held_namespace.inside(writer.file), IPRoute() as netlink:
        peer = {"ifname": "eth0", "net_ns_pid": reader.pid}
        netlink.link("add", ifname="eth0", kind="veth", peer=peer)
    for place, address in zip((writer, reader), addresses, strict=True):
        host, _, length = address.partition("/")
        with held_namespace.inside(place.file), IPRoute() as netlink:
            (index,) = netlink.link_lookup(ifname="eth0")
            flags = {"flags": 2} if ":" in host else {}  # IFA_F_NODAD: usable at once.
            netlink.addr("add", index=index, address=host, prefixlen=int(length), **flags)
            netlink.link("set", index=index, state="up")


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _read(address: str, pipes: tuple[int, int, int]) -> None:
    heard, tell, port_to = pipes
    with socket.socket(_family(address)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        listener.bind((address, 0))
        listener.listen(1)
        os.write(port_to, str(listener.getsockname()[1]).encode())
        connection, _ = listener.accept()
    os.read(heard, 1)
    total = 0
    while part := connection.recv(1 << 16):
        total += len(part)
    os.write(tell, str(total).encode())
    select.select([], [], [])


def _write(there: tuple[str, int], size: int, tell: int, *, blocking: bool) -> None:
    with socket.socket(_family(there[0])) as connection:
        connection.connect(there)
        os.write(tell, b"+")
        connection.setblocking(blocking)
        left = memoryview(bytes(size))
        while left:
            if not blocking:
                select.select([], [connection], [])
            sent = connection.send(left)
            if blocking and sent < len(left):
                os._exit(3)  # A call that blocks was cut short: somebody interrupted it.
            left = left[sent:]
    select.select([], [], [])


def main() -> None:
    """Stall until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="zero_window", description=__doc__, epilog="example: zero_window --ipv6"
    )
    parser.add_argument("--ipv6", action="store_true")
    arguments = parser.parse_args()
    with zero_window(IPV6 if arguments.ipv6 else IPV4) as made:
        print(f"writer {made.writer_pid}, reader {made.reader_pid}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
