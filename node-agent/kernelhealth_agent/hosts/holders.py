"""Sockets of other processes, and the network namespaces they belong to.

A socket keeps its namespace although its process has left it. pidfd_getfd(2) (Linux 5.6) copies a
descriptor for a moment, SO_NETNS_COOKIE (5.14) names its namespace by a number, and ioctl SIOCGSKNS
(4.10) opens the namespace itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
from collections.abc import Container, Iterable, Iterator

from kernelhealth_agent.hosts import SocketHolder, sockets
from kernelhealth_agent.kernel import rtnetlink

_PIDFD_GETFD = 438
_SIOCGSKNS = 0x894C
_SOL_SOCKET, _SO_NETNS_COOKIE = 1, 71
_MOST_SOCKETS = 50_000


def strangers(prefix: str, processes: Iterable[int], known: Container[int]) -> list[SocketHolder]:
    """Return one socket of each namespace that is not *known*; below *prefix* is ``proc``.

    Sockets of namespaces that were met before are told by their cookie and cost two system
    calls; at most 50,000 sockets are looked at.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    met: set[int] = set()
    found: dict[int, SocketHolder] = {}
    left = _MOST_SOCKETS
    for pid in processes:
        if pid == os.getpid() or left <= 0:
            continue
        with contextlib.suppress(OSError):
            process = os.pidfd_open(pid)
            try:
                for number in _socket_numbers(f"{prefix}proc/{pid}/fd"):
                    left -= 1
                    inode, nsid = _stranger(libc, process, number, met)
                    if inode and inode not in known:
                        found.setdefault(inode, SocketHolder(pid, number, inode, nsid))
            finally:
                os.close(process)
    return list(found.values())


def _socket_numbers(directory: str) -> Iterator[int]:
    for name in os.listdir(directory):
        with contextlib.suppress(OSError):
            if os.readlink(f"{directory}/{name}").startswith("socket:["):
                yield int(name)


def _stranger(
    libc: ctypes.CDLL, process: int, number: int, met: set[int]
) -> tuple[int, int | None]:
    """Return inode number and id of a socket's namespace; 0 where it was met or cannot be told."""
    copy = libc.syscall(_PIDFD_GETFD, process, number, 0)
    if copy < 0:
        return 0, None
    try:
        cookie, size = ctypes.c_uint64(), ctypes.c_uint32(8)
        if not libc.getsockopt(
            copy, _SOL_SOCKET, _SO_NETNS_COOKIE, ctypes.byref(cookie), ctypes.byref(size)
        ):
            if cookie.value in met:
                return 0, None
            met.add(cookie.value)
        namespace = fcntl.ioctl(copy, _SIOCGSKNS)
    except OSError:
        return 0, None
    finally:
        os.close(copy)
    try:
        return os.fstat(namespace).st_ino, _nsid(namespace)
    finally:
        os.close(namespace)


def _nsid(namespace: int) -> int | None:
    """Return the id that the namespace behind a descriptor has in the agent's."""
    name = "netlink nsid of a socket"
    with sockets.translated(name), sockets.opened(0, None) as asked:
        asked.send(rtnetlink.nsid_message(namespace, 1))
        ids = rtnetlink.nsids(asked.recv(1 << 16), name)
    return ids[0] if ids and ids[0] >= 0 else None
