"""A namespace that only its id leads to, opened for a moment by a device that is put into it.

RTM_SETLINK with IFLA_TARGET_NETNSID (Linux 4.15) moves a device to a namespace by its id, and
TUNGETDEVNETNS (5.7) opens the namespace that a tun device is in. The device goes with its
descriptor, and the namespace is let go before this returns. It is the one look that makes
something, and programs that follow devices are told of it: it is off unless asked for.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import nsfs, sockets
from kernelhealth_agent.kernel import inside, netlink, rtnetlink

_DEVICE, _DRIVERS = "/dev/net/tun", "/proc/misc"
_TUNSETIFF, _TUNGETDEVNETNS = 0x400454CA, 0x54E3
_TAP, _NO_PI = 0x0002, 0x1000
_REQUEST = struct.Struct("16sH22x")
_USE_GSS_PROXY = "/proc/thread-self/net/rpc/use-gss-proxy"
_SOCKSTAT = "/proc/thread-self/net/sockstat"


@dataclass(frozen=True, slots=True)
class InsideByDevice:
    """What is inside the namespace with an id in the host's, as ``kernel.inside`` decodes it."""

    nsid: int

    @property
    def name(self) -> str:
        """The name of the question."""
        return inside.name(self.nsid)

    def ask(self, root: str) -> bytes:
        """Open the namespace and look around; ``OSError``, or ``AbsentError`` without tun.

        Opening the device of a driver that is not there would load it, so it is looked for first.
        """
        del root  # Devices are the kernel's, whatever is mounted where.
        if not _is_there():
            raise errors.AbsentError(self.name, "needs the tun driver, which is not loaded")
        with _opened(self.nsid) as namespace:
            return json.dumps(_seen(namespace)).encode()


def _is_there() -> bool:
    with contextlib.suppress(OSError), open(_DRIVERS, encoding="ascii") as drivers:
        return any(line.split()[-1:] == ["tun"] for line in drivers)
    return False


@contextlib.contextmanager
def _opened(nsid: int) -> Iterator[int]:
    """Open the namespace behind an id; the device is gone before anything is asked of it."""
    device = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        wanted = f"kh{os.getpid():x}n{nsid}".encode()[:15]
        made = fcntl.ioctl(device, _TUNSETIFF, _REQUEST.pack(wanted, _TAP | _NO_PI))
        name = _REQUEST.unpack(made)[0].rstrip(b"\0").decode()
        _moved(socket.if_nametoindex(name), nsid)
        namespace: int = fcntl.ioctl(device, _TUNGETDEVNETNS)
    finally:
        os.close(device)
    try:
        yield namespace
    finally:
        os.close(namespace)


def _moved(index: int, nsid: int) -> None:
    """Move a device; raises ``OSError`` where the kernel does not."""
    message = rtnetlink.move_message(index, nsid)
    with sockets.opened(0, None) as asked:
        asked.send(message)
        answer = asked.recv(1 << 16)
    kind = netlink.HEADER.unpack_from(answer)[1]
    code = struct.unpack_from("=i", answer, netlink.HEADER.size)[0]
    if kind != netlink.ERROR or code:
        raise OSError(-code or errno.EPROTO, os.strerror(-code or errno.EPROTO))


def _seen(namespace: int) -> dict[str, int | str | None]:
    path = f"/proc/self/fd/{namespace}"
    cookie = sockets.cookie(path)
    with sockets.inside(path):
        return {
            "inode": os.fstat(namespace).st_ino,
            "cookie": cookie,
            "id": nsfs.identifier(namespace),
            "useGssProxy": _line(_USE_GSS_PROXY),
            "sockstat": _line(_SOCKSTAT),
        }


def _line(path: str) -> str | None:
    """Return the first line of a file of the thread's namespace; None where there is none."""
    with contextlib.suppress(OSError), open(path, encoding="ascii") as content:
        return content.readline().strip()
    return None
