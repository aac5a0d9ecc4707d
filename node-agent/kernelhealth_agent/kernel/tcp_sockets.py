"""One TCP socket, found and ended by both its ends: include/uapi/linux/inet_diag.h.

Ends alone may be another connection's by now. What tells a socket from every other of its boot is
its cookie (net/core/sock_diag.c: sock_gen_cookie), which the kernel compares itself where one is
given.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import netlink
from kernelhealth_agent.kernel.netlink import Request

SOCK_DIAG, BY_FAMILY, DESTROY = 4, 20, 21
ESTABLISHED, PERSIST = 1, 4
"""The state of a connection that is open at both ends; the timer that probes a closed window."""
_TCP, _INFO = 6, 2
_ANY = 0xFFFFFFFF
_REQUEST = struct.Struct("=BBBxI")
_PORTS = struct.Struct(">HH")
_REST = struct.Struct("=III")  # Interface, and the cookie's lower and upper half.
_TAIL = struct.Struct("=QIIIII")  # Cookie, expires, both queues, user, inode.
_TAIL_AT, _SIZE = 44, 72
_WORD, _LONG = struct.Struct("=I"), struct.Struct("=Q")


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a connection, the own one first; addresses as text."""

    local: str
    local_port: int
    peer: str
    peer_port: int

    @property
    def turned(self) -> Ends:
        """The same connection as its peer has it."""
        return Ends(self.peer, self.peer_port, self.local, self.local_port)


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """One socket; queues in bytes, *inode* is 0 where no process has it open.

    *acked* and *received* count bytes of its whole life, *unacked* segments on their way; None is
    what this kernel does not tell.
    """

    cookie: int
    inode: int
    state: int
    timer: int
    unread: int
    unsent: int
    unacked: int | None = None
    acked: int | None = None
    received: int | None = None


def question(ends: Ends) -> Request:
    """Ask for the connection with these ends; ENOENT is the answer where there is none.

    Raises ``ValueError`` for an address that is none.
    """
    name = f"tcp-{ends.local}-{ends.local_port}-{ends.peer}-{ends.peer_port}"
    return Request(name, SOCK_DIAG, BY_FAMILY, selector(ends), dump=False)


def selector(ends: Ends, cookie: int | None = None) -> bytes:
    """Return struct inet_diag_req_v2 for these ends, and for that cookie where one is given."""
    near, far = ipaddress.ip_address(ends.local), ipaddress.ip_address(ends.peer)
    family = 10 if near.version == 6 else 2
    low, high = (_ANY, _ANY) if cookie is None else (cookie & _ANY, cookie >> 32)
    return b"".join((
        _REQUEST.pack(family, _TCP, 1 << (_INFO - 1), _ANY),
        _PORTS.pack(ends.local_port, ends.peer_port),
        near.packed.ljust(16, b"\0"),
        far.packed.ljust(16, b"\0"),
        _REST.pack(0, low, high),
    ))  # fmt: skip


def answer(stream: bytes, path: str) -> TcpSocket | None:
    """Decode an answer to ``question``; None where it holds no socket. ``UnreadableError``."""
    for kind, body in netlink.messages(stream, path):
        if kind != BY_FAMILY:
            continue
        if len(body) < _SIZE:
            raise errors.UnreadableError(path, f"a socket of {len(body)} bytes")
        cookie, _, unread, unsent, _, inode = _TAIL.unpack_from(body, _TAIL_AT)
        info = netlink.attributes(body[_SIZE:], path).get(_INFO, memoryview(b""))
        return TcpSocket(
            cookie=cookie,
            inode=inode,
            state=body[1],
            timer=body[2],
            unread=unread,
            unsent=unsent,
            unacked=_number(info, 24, _WORD),
            acked=_number(info, 120, _LONG),
            received=_number(info, 128, _LONG),
        )
    return None


def _number(info: memoryview, at: int, form: struct.Struct) -> int | None:
    if len(info) < at + form.size:
        return None
    value: int = form.unpack_from(info, at)[0]
    return value
