"""Orders to the kernel: netlink messages that change something, each acknowledged or refused."""

from __future__ import annotations

import os
import struct

from kernelhealth_agent.hosts import sockets
from kernelhealth_agent.kernel import netlink

_CODE = struct.Struct("=i")


def order(
    protocol: int, kind: int, body: bytes, namespace: str | None = None, more: int = 0
) -> None:
    """Send one message of a netlink family and wait for its acknowledgement.

    *namespace* is the full path of the namespace file inside which it is sent; None is the calling
    thread's own; *more* are flags. ``OSError`` with the kernel's number where it refuses,
    ``TimeoutError`` where it does not answer within five seconds.
    """
    flags = netlink.REQUEST | netlink.ACKNOWLEDGE | more
    message = netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, flags, 1, 0) + body
    with sockets.opened(protocol, namespace) as asked:
        asked.send(message)
        while True:
            answer = asked.recv(1 << 16)
            kind_of_answer = netlink.HEADER.unpack_from(answer)[1]
            if kind_of_answer == netlink.ERROR:
                break
    code = _CODE.unpack_from(answer, netlink.HEADER.size)[0]
    if code:
        raise OSError(-code, os.strerror(-code))
