"""A way from this machine's loopback to an address in a node's network namespace.

There is no link between the two: the tunnel listens here and connects there, because a socket stays
in the network namespace it was made in. A veth pair would show in the node as a foreign namespace,
which is exactly what the agent under test looks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from kernelhealth_e2e import namespaces, ports, processes
from kernelhealth_e2e.processes import Command, Process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_CHUNK = 1 << 16
_READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A running tunnel; ``published`` is ``127.0.0.1:port`` on this machine."""

    process: Process
    published: str

    @classmethod
    def open(cls, node: int, target: str, logs: Path, *, bound: bool) -> Self:
        """Start a tunnel to ``address:port`` in the network namespace of process ``node``."""
        (port,) = ports.free(1)
        argv = (sys.executable, "-m", __spec__.name, str(port), str(node), target)
        environ = {"PYTHONPATH": str(Path(__file__).parent.parent)}
        log = logs / f"tunnel-{port}.log"
        process = processes.start(Command("tunnel", argv, log, environ=environ, bound=bound))
        process.await_ready(lambda: "listening" in log.read_text(), _READY_SECONDS)
        return cls(process, f"127.0.0.1:{port}")

    def close(self) -> None:
        """Cut all connections and end."""
        self.process.kill()


def main(port: int, node: int, target: str) -> None:
    """Listen here, connect there, and end with the node: an open tunnel pins its namespace."""
    address, _, target_port = target.rpartition(":")
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    life = os.pidfd_open(node)
    namespaces.enter_network(node)
    asyncio.run(_serve(listener, life, _relay(address, int(target_port))))


async def _serve(
    listener: socket.socket,
    life: int,
    relay: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(life, over.set)
    async with await asyncio.start_server(relay, sock=listener):
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        await over.wait()


def _relay(
    address: str, port: int
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(address, port)
        except OSError:
            writer.transport.abort()  # as the address itself would refuse
            return
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    return relay


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
    with contextlib.suppress(OSError):
        sink.close()
        await sink.wait_closed()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
