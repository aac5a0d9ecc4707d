"""Netlink sockets of the running kernel, in the host's network namespace or inside another."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import nsfs
from kernelhealth_agent.kernel import netlink
from kernelhealth_agent.kernel.netlink import Request

_LIBC = ctypes.CDLL(None, use_errno=True)  # Dear to make, and there is one call for each namespace.
_CLONE_NEWNET = 0x40000000
_SOL_NETLINK, _GET_STRICT_CHK = 270, 12
_SO_RCVBUFFORCE, _SO_NETNS_COOKIE = 33, 71
_RECEIVE = 1 << 20
PATIENCE = 5.0
"""Seconds that the kernel has for an answer."""
_ATTEMPTS = 5
_ABSENT = {
    errno.EOPNOTSUPP,
    errno.EPROTONOSUPPORT,
    errno.EAFNOSUPPORT,
    errno.ENOENT,
    errno.ENODEV,
}


class _InterruptedDumpError(Exception):
    """The objects changed while they were listed; the list may miss some."""


@contextlib.contextmanager
def inside(path: str | None) -> Iterator[None]:
    """Let the calling thread, and no other, be in the network namespace at *path*."""
    if path is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        away = nsfs.opened(path)
        try:
            if _LIBC.setns(away, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(away)
        try:
            yield
        finally:
            if _LIBC.setns(home, _CLONE_NEWNET):
                # A thread that stays would itself hold the namespace: better no agent than that.
                os._exit(70)
    finally:
        os.close(home)


def opened(protocol: int, namespace: str | None, patience: float = PATIENCE) -> socket.socket:
    """Return a bound netlink socket; it stays in the namespace where it was made."""
    with inside(namespace):
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        made.settimeout(patience)
        made.bind((0, 0))
        with contextlib.suppress(OSError):  # Linux < 4.20: it checks nothing strictly then.
            made.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
        with contextlib.suppress(OSError):  # Without CAP_NET_ADMIN the default has to do.
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 * _RECEIVE)
    except BaseException:
        made.close()
        raise
    return made


def cookie(namespace: str) -> int | None:
    """Return SO_NETNS_COOKIE of a socket made inside, None before Linux 5.14; may raise OSError."""
    with inside(namespace):
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    with made:
        try:
            raw = made.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        except OSError as error:
            if error.errno != errno.ENOPROTOOPT:
                raise
            return None
    return int.from_bytes(raw, sys.byteorder)


def dump(request: Request, namespace: str | None, patience: float = PATIENCE) -> bytes:
    """Return the messages that answer *request*, asking again when the list changed meanwhile."""
    name = f"netlink {request.name}"
    with translated(name, patience), opened(request.protocol, namespace, patience) as asked:
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(_InterruptedDumpError):
                return _answer(asked, request, name)
    raise errors.UnreadableError(name, f"the list changed during each of {_ATTEMPTS} readings")


def _answer(asked: socket.socket, request: Request, name: str) -> bytes:
    flags = netlink.REQUEST | (netlink.DUMP if request.dump else 0)
    size = netlink.HEADER.size + len(request.body)
    asked.send(netlink.HEADER.pack(size, request.kind, flags, 1, 0) + request.body)
    parts, interrupted = [], False
    while True:
        part = asked.recv(_RECEIVE)
        end, changed = _closing(part, name)
        interrupted |= changed
        parts.append(part[:end])
        if end < len(part) or not request.dump:
            break
    if interrupted:
        raise _InterruptedDumpError
    return b"".join(parts)


def _closing(part: bytes, name: str) -> tuple[int, bool]:
    """Return where the closing message starts, or the length; and whether the dump is torn."""
    at, changed = 0, False
    while at + netlink.HEADER.size <= len(part):
        length, kind, flags, *_ = netlink.HEADER.unpack_from(part, at)
        if length < netlink.HEADER.size:
            raise errors.UnreadableError(name, f"a message at byte {at} claims {length} bytes")
        changed |= bool(flags & netlink.INTERRUPTED)
        if kind in {netlink.ERROR, netlink.DONE}:
            code = (
                struct.unpack_from("=i", part, at + netlink.HEADER.size)[0] if length >= 20 else 0
            )
            if code < 0:
                raise OSError(-code, os.strerror(-code))
            return at, changed
        at += (length + 3) & ~3
    return len(part), changed


@contextlib.contextmanager
def translated(name: str, patience: float = PATIENCE) -> Iterator[None]:
    """Turn what a socket says into the errors of the agent; it had *patience* seconds."""
    try:
        yield
    except TimeoutError as error:
        raise errors.HungError(name, patience) from error
    except OSError as error:
        if error.errno in _ABSENT:
            raise errors.AbsentError(name, f"is not offered: {os.strerror(error.errno)}") from error
        if error.errno in {errno.EPERM, errno.EACCES}:
            raise errors.ForbiddenError(name, "CAP_NET_ADMIN or CAP_SYS_ADMIN") from error
        raise errors.UnreadableError(name, os.strerror(error.errno or 0)) from error
