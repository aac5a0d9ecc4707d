"""Sockets of other programs, by a copy of their descriptor: pidfd_getfd(2), Linux 5.6."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator

_PIDFD_GETFD = 438
_SO_COOKIE, _SIOCOUTQNSD = 57, 0x894B
_INFO = 28
# Calls through it keep Python's lock, so that no other thread gets in between two of them.
LIBC = ctypes.PyDLL(None, use_errno=True)


@contextlib.contextmanager
def copied(pid: int, number: int) -> Iterator[int]:
    """Give a copy of another process's descriptor; ``OSError``."""
    process = os.pidfd_open(pid)
    try:
        copy = LIBC.syscall(_PIDFD_GETFD, process, number, 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(process)
    try:
        yield copy
    finally:
        os.close(copy)


def cookie(copy: int) -> int | None:
    """Return the number that the kernel gives to no other socket of this boot."""
    found, size = ctypes.c_uint64(), ctypes.c_uint32(8)
    where = ctypes.byref(found), ctypes.byref(size)
    return None if LIBC.getsockopt(copy, socket.SOL_SOCKET, _SO_COOKIE, *where) else found.value


def is_stalled(copy: int) -> bool:
    """Whether nothing but an opened window can end a write that waits: tcp_info in linux/tcp.h."""
    info = _info(copy)
    return info is not None and info[4] > 0 and _unacked(info) == 0


def waits(copy: int) -> bool:
    """Whether nothing of what was sent is under way, but something waits for the window.

    include/uapi/linux/sockios.h: SIOCOUTQNSD is what was not sent yet.
    """
    info = _info(copy)
    (unsent,) = struct.unpack("=i", fcntl.ioctl(copy, _SIOCOUTQNSD, bytes(4)))
    return info is not None and _unacked(info) == 0 and unsent > 0


def _info(copy: int) -> bytes | None:
    info, size = ctypes.create_string_buffer(_INFO), ctypes.c_uint32(_INFO)
    if LIBC.getsockopt(copy, socket.IPPROTO_TCP, socket.TCP_INFO, info, ctypes.byref(size)):
        return None
    return info.raw if size.value == _INFO else None


def _unacked(info: bytes) -> int:
    (unacked,) = struct.unpack_from("=I", info, 24)
    return int(unacked)
