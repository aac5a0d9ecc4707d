"""A kernel that tells only the first ids of many: the others are asked for one by one."""

from __future__ import annotations

import contextlib
import os
import socket
import struct

import pytest

from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import netlink, rtnetlink
from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import sandbox

NEWNSID, NSID, FD = 88, 1, 3


@pytest.mark.parametrize(
    "ids",
    [range(3), range(300), (*range(150), 151, *range(900, 903), 1500)],
    ids=["few", "many", "many with gaps"],
)
def test_every_id_is_listed_however_many_there_are(ids: range | tuple[int, ...]) -> None:
    with sandbox() as host, sandbox() as other:
        give_ids(host.file, other.file, ids[:1])
        with contextlib.ExitStack() as stack:
            for one in ids[1:]:
                give_ids(host.file, stack.enter_context(sandbox()).file, (one,))

            listed = LiveHost("/").dump(rtnetlink.nsids_request(), host.file.lstrip("/"))

    assert sorted(rtnetlink.nsids(listed, "ids")) == sorted(ids)


def give_ids(where: str, namespace: str, ids: range | tuple[int, ...]) -> None:
    """Let a namespace be known by an id in another."""
    with held_namespace.inside(where):
        asked = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    descriptor = os.open(namespace, os.O_RDONLY)
    try:
        for one in ids:
            body = bytes(4)
            body += netlink.attribute(NSID, struct.pack("=i", one))
            body += netlink.attribute(FD, struct.pack("=i", descriptor))
            size = netlink.HEADER.size + len(body)
            flags = netlink.REQUEST | netlink.ACKNOWLEDGE
            asked.send(netlink.HEADER.pack(size, NEWNSID, flags, 1, 0) + body)
            answer = asked.recv(4096)
            assert struct.unpack_from("=i", answer, netlink.HEADER.size)[0] == 0
    finally:
        os.close(descriptor)
        asked.close()
