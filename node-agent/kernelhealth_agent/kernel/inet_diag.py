"""TCP connections as their own end sees them: include/uapi/linux/{inet_diag,sock_diag,tcp}.h.

One netlink dump has every connection of a network namespace. ``struct tcp_info`` grew with the
kernel; what an older one does not have is None here. A kernel without inet_diag still has
/proc/PID/net/tcp (net/ipv4/tcp_ipv4.c: get_tcp4_sock), which tells the timer and the queues.
"""

from __future__ import annotations

import ipaddress
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import netlink
from kernelhealth_agent.kernel.netlink import Request

AF_INET, AF_INET6 = 2, 10
PERSIST = 4
"""The timer that probes a closed window: inet_diag.c and get_tcp4_sock call ICSK_TIME_PROBE0 so."""
MODULES = ("inet_diag", "tcp_diag")
"""What answers; where it is not loaded, asking would load it."""

_SOCK_DIAG, _BY_FAMILY, _TCP, _INFO = 4, 20, 6, 2
# ESTABLISHED, FIN_WAIT1, CLOSE_WAIT, LAST_ACK, CLOSING: the states with something left to send.
_STATES = 1 << 1 | 1 << 4 | 1 << 8 | 1 << 9 | 1 << 11
_REQUEST = struct.Struct("=BBBxI48x")
_PORTS = struct.Struct(">HH")
_TAIL = struct.Struct("=QIIIII")  # Cookie, expires, both queues, user, inode.
_TAIL_AT, _SIZE = 44, 72
_WORD, _LONG = struct.Struct("=I"), struct.Struct("=Q")


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection; queues in bytes, *last_sent* in seconds since data was sent.

    *cookie* is a number that no other socket of this boot has, 0 where it is not known; *inode* is
    0 for a socket that no process has open. Windows are in bytes. None is what this kernel does
    not tell.
    """

    local: str
    local_port: int
    peer: str
    peer_port: int
    timer: int
    unread: int
    unsent: int
    inode: int
    cookie: int = 0
    probes: int | None = None
    backoff: int | None = None
    unacked: int | None = None
    not_sent: int | None = None
    last_sent: float | None = None
    acked: int | None = None
    received: int | None = None
    send_window: int | None = None
    receive_window: int | None = None

    @property
    def identity(self) -> str:
        """What tells it from every other connection of its namespace."""
        return f"{self.cookie:x}" if self.cookie else f"{self.here}-{self.there}"

    @property
    def here(self) -> str:
        """The own end, as address:port."""
        return _end(self.local, self.local_port)

    @property
    def there(self) -> str:
        """The peer's end, as address:port."""
        return _end(self.peer, self.peer_port)

    @property
    def ends(self) -> tuple[str, int, str, int]:
        """Both ends, the own one first."""
        return self.local, self.local_port, self.peer, self.peer_port

    @property
    def far_ends(self) -> tuple[str, int, str, int]:
        """Both ends as the peer's ``ends`` has them."""
        return self.peer, self.peer_port, self.local, self.local_port


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def request(family: int) -> Request:
    """Ask for the connections of one family that may have something left to send."""
    body = _REQUEST.pack(family, _TCP, 1 << (_INFO - 1), _STATES)
    return Request(f"tcp{6 if family == AF_INET6 else 4}", _SOCK_DIAG, _BY_FAMILY, body)


def connections(stream: bytes, path: str, timer: int | None = None) -> Iterator[Connection]:
    """Decode an answer to ``request``: all, or only those whose timer is *timer*.

    Of thousands a handful has the timer, so that the others are not decoded at all. Raises
    ``UnreadableError``.
    """
    for kind, body in netlink.messages(stream, path):
        if kind != _BY_FAMILY:
            continue
        if len(body) < _SIZE:
            raise errors.UnreadableError(path, f"a connection of {len(body)} bytes")
        if timer is None or body[2] == timer:
            yield _connection(body, path)


def _connection(body: memoryview, path: str) -> Connection:
    local_port, peer_port = _PORTS.unpack_from(body, 4)
    cookie, _, unread, unsent, _, inode = _TAIL.unpack_from(body, _TAIL_AT)
    size = {AF_INET: 4, AF_INET6: 16}.get(body[0])
    if size is None:
        raise errors.UnreadableError(path, f"a connection of address family {body[0]}")
    info = netlink.attributes(body[_SIZE:], path).get(_INFO, memoryview(b""))
    last_sent = _number(info, 44)
    return Connection(
        _address(bytes(body[8 : 8 + size])),
        local_port,
        _address(bytes(body[24 : 24 + size])),
        peer_port,
        body[2],
        unread,
        unsent,
        inode,
        cookie,
        probes=info[3] if len(info) > 3 else None,
        backoff=info[4] if len(info) > 4 else None,
        unacked=_number(info, 24),
        not_sent=_number(info, 144),
        last_sent=None if last_sent is None else last_sent / 1000,
        acked=_number(info, 120, _LONG),
        received=_number(info, 128, _LONG),
        send_window=_number(info, 228),
        receive_window=_number(info, 232),
    )


def _number(info: memoryview, at: int, form: struct.Struct = _WORD) -> int | None:
    if len(info) < at + form.size:
        return None
    value: int = form.unpack_from(info, at)[0]
    return value


def _address(raw: bytes) -> str:
    """Return an address as text; one of IPv4 is the same whichever family the socket is of."""
    found = ipaddress.ip_address(raw)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def table(content: bytes, path: str) -> Iterator[Connection]:
    """Yield the connections of /proc/PID/net/tcp or tcp6 that probe a closed window.

    Raises ``UnreadableError`` for a line that is none of such a file.
    """
    for number, line in enumerate(content.decode(errors="replace").splitlines()[1:], 2):
        fields = line.split()
        if len(fields) > 5 and not fields[5].startswith("04:"):
            continue
        try:
            yield _listed(fields)
        except (ValueError, IndexError) as error:
            raise errors.UnreadableError(path, f"it is no connection: {error}", number) from error


def _listed(fields: list[str]) -> Connection:
    local, local_port = _listed_end(fields[1])
    peer, peer_port = _listed_end(fields[2])
    unsent, unread = (int(part, 16) for part in fields[4].split(":"))
    return Connection(
        local,
        local_port,
        peer,
        peer_port,
        PERSIST,
        unread,
        unsent,
        inode=int(fields[9]),
        probes=int(fields[8]),
    )


def _listed_end(text: str) -> tuple[str, int]:
    """Decode an end: words of 32 bits as the processor has them, then the port."""
    digits, port = text.split(":")
    if len(digits) not in {8, 32}:
        raise ValueError(f"{digits} is no address")
    words = (int(digits[at : at + 8], 16) for at in range(0, len(digits), 8))
    return _address(b"".join(word.to_bytes(4, sys.byteorder) for word in words)), int(port, 16)
