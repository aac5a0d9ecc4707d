"""Ids of network namespaces that the kernel leaves out when it is asked for all of them.

Since the change "rtnetlink: no longer hold RTNL in rtnl_net_dumpid()" (Linux 6.10) the answer to
RTM_GETNSID with NLM_F_DUMP ends with its first buffer, as if that were all: rtnl_net_dumpid
(net/core/net_namespace.c) returns 0 although idr_for_each stopped early. Measured on 6.18: 134 ids
of 200. One that fills a buffer is therefore completed by asking for single ids (NETNSA_NSID, Linux
4.20); there a kernel without the fault merely says no.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from kernelhealth_agent.hosts import sockets
from kernelhealth_agent.kernel import netlink, rtnetlink

_NAME = "netlink nsids"
_HAD_ROOM = 3500
"""Bytes; less than the smallest buffer that a dump begins with (NLMSG_GOODSIZE, 4 KiB pages)."""
_BATCH = 128
_GAP = 1024
"""The kernel gives the lowest free id, so that ids are dense: so many without one are the end."""


def completed(listed: bytes, namespace: str | None) -> bytes:
    """Return the answer *listed* to ``nsids_request``, with what the kernel may have left out.

    *namespace* is the path of the one that was asked, None for that of the caller.
    """
    known = rtnetlink.nsids(listed, _NAME)
    if len(listed) < _HAD_ROOM or not known:
        return listed
    parts, last = [listed], max(known)
    first = last + 1
    with sockets.translated(_NAME), sockets.opened(0, namespace) as asked:
        while first - last <= _GAP:
            for part in _answers(asked, range(first, first + _BATCH)):
                if ids := rtnetlink.nsids(part, _NAME):
                    last = max(last, *ids)
                    parts.append(part)
            first += _BATCH
    return b"".join(parts)


def _answers(asked: socket.socket, ids: Iterable[int]) -> list[bytes]:
    """Return one message for each id: its own, or an error where there is no such namespace."""
    questions = [rtnetlink.known_message(one) for one in ids]
    asked.send(b"".join(questions))
    answers: list[bytes] = []
    while len(answers) < len(questions):
        part = asked.recv(1 << 16)
        at = 0
        while at + netlink.HEADER.size <= len(part):
            length = max(netlink.HEADER.size, netlink.HEADER.unpack_from(part, at)[0])
            answers.append(part[at : at + ((length + 3) & ~3)])
            at += (length + 3) & ~3
    return answers
