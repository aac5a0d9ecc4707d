"""Lets network namespaces end at once, many of them, each with a link to the pod's own.

Tells as JSON how long the kernel took each time to remove the last of the links. It runs in a pod
where only Python is.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path

_NEWNET = 0x40000000
_LINK = "crowd"
_LINKS = 1  # RTMGRP_LINK, include/uapi/linux/rtnetlink.h
_NO_ERROR_WHERE_FULL = (270, 5)  # SOL_NETLINK, NETLINK_NO_ENOBUFS: include/uapi/linux/netlink.h
_ANY_LENGTH = 1 << 16
_DEVICES = Path("/proc/thread-self/net/dev")
_LIBC = ctypes.CDLL(None, use_errno=True)


def main(size: str, seconds: str) -> None:
    """Let so many end at once, again and again for so many seconds; then stay."""
    begun, taken = time.monotonic(), list[float]()
    while not taken or time.monotonic() - begun < float(seconds):
        made, say_made = os.pipe()
        child = os.fork()
        if not child:
            _crowded(int(size), say_made)
        os.close(say_made)
        if not os.read(made, 1):
            raise SystemExit("the namespaces could not be made")
        os.close(made)
        taken.append(_ended(child))
    print(json.dumps({"event": "ended", "seconds": taken}), flush=True)
    signal.pause()


def _crowded(size: int, say_made: int) -> None:
    """Make namespaces that end when the process does, and wait for that; never returns."""
    held = []
    with contextlib.suppress(OSError):
        for number in range(size):
            _unshare()
            held.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
            _add_pair("eth0", f"{_LINK}{number}", os.getppid())
        os.write(say_made, b"1")
        signal.pause()
    os._exit(1)


def _ended(child: int) -> float:
    """End what holds the namespaces, and return the seconds until the last of the links is gone."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as changes:
        changes.setsockopt(*_NO_ERROR_WHERE_FULL, 1)
        changes.bind((0, _LINKS))
        begun = time.monotonic()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        # The kernel tells of a link once it is out of the list (net/core/dev.c). It leaves out a
        # message only while others wait to be read, so that a look follows in any case.
        while crowded(_DEVICES.read_text("utf-8").splitlines()):
            changes.recv(_ANY_LENGTH)
        return time.monotonic() - begun


def crowded(devices: list[str]) -> bool:
    """Whether proc(5), net/dev, has a link to a namespace of a crowd."""
    return any(line.lstrip().startswith(_LINK) for line in devices)


def _add_pair(name: str, peer: str, pid: int) -> None:
    """Make a veth pair whose other end is where the process is: include/uapi/linux/if_link.h."""
    link = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
    there = _attribute(3, peer.encode() + b"\0") + _attribute(19, struct.pack("=I", pid))
    kind = _attribute(1, b"veth") + _attribute(2, _attribute(1, link + there))
    body = link + _attribute(3, name.encode() + b"\0") + _attribute(18, kind)
    # RTM_NEWLINK with NLM_F_REQUEST, ACK, EXCL and CREATE.
    header = struct.pack("=IHHII", 16 + len(body), 16, 0x605, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as asked:
        asked.sendto(header + body, (0, 0))
        (code,) = struct.unpack_from("=i", asked.recv(4096), 16)
    if code:
        raise OSError(-code, os.strerror(-code))


def _attribute(kind: int, content: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(content), kind) + content + b"\0" * (-len(content) % 4)


def _unshare() -> None:
    if _LIBC.unshare(_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main(*sys.argv[1:])
