"""The TCP connections of a network namespace as its kernel lists them: /proc/net/tcp. Pure.

Each line of it, after the heading, has both ends, the state, the bytes in both queues and the timer
that runs, all in hexadecimal (net/ipv4/tcp_ipv4.c: get_tcp4_sock).
"""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_e2e.errors import HarnessError

PERSIST = 4
"""The timer by which a closed window is probed."""
_LISTENING, _OVER = 0x0A, 0x06


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection; *unsent* bytes were not acknowledged yet, *unread* wait for the program."""

    port: int
    peer_port: int
    state: int
    unsent: int
    unread: int
    timer: int


def connection(table: str, port: int) -> Connection:
    """Return the connection that has this port at either end and is not over.

    HarnessError unless there is exactly one.
    """
    found = [one for one in _connections(table) if port in {one.port, one.peer_port}]
    if len(found) != 1:
        raise HarnessError(f"of port {port} there are {len(found)} connections, not one: {found}")
    return found[0]


def _connections(table: str) -> list[Connection]:
    rows = [line.split() for line in table.splitlines()[1:]]
    every = [_connection(row) for row in rows]
    return [one for one in every if one.state not in {_LISTENING, _OVER}]


def _connection(row: list[str]) -> Connection:
    near, far, state, queues, timer = row[1:6]
    unsent, unread = queues.split(":")
    return Connection(
        port=int(near.rpartition(":")[2], 16),
        peer_port=int(far.rpartition(":")[2], 16),
        state=int(state, 16),
        unsent=int(unsent, 16),
        unread=int(unread, 16),
        timer=int(timer.partition(":")[0], 16),
    )
