"""A veth pair between this network namespace and another, as a CNI plugin makes it for a pod."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Iterator

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from kernelhealth_e2e.faults import held_namespace

_PATIENCE = 60.0
_NUMBERS = itertools.count(os.getpid() % 100_000 * 100)


@contextlib.contextmanager
def veth(pid: int, address: str | None = None, name: str | None = None) -> Iterator[str]:
    """Connect the namespace of a process to this one; yields the name of the near end.

    The far end is eth0, with *address* (192.0.2.7/24) if given. The pair goes with the far
    namespace, or at the latest with the context.
    """
    near = name or f"khv{next(_NUMBERS) % 10**9}"
    with IPRoute() as netlink:
        peer = {"ifname": "eth0", "net_ns_pid": pid}
        netlink.link("add", ifname=near, kind="veth", peer=peer)
        try:
            if address is not None:
                _configure(pid, address)
            yield near
        finally:
            cut(near)


def cut(near: str) -> None:
    """Delete a pair, as CNI DEL does; that it is gone already is fine."""
    with IPRoute() as netlink, contextlib.suppress(NetlinkError):
        for index in netlink.link_lookup(ifname=near):
            netlink.link("del", index=index)


def await_gone(*names: str) -> None:
    """Wait until the kernel has removed links: it takes namespaces down late, and theirs with them.

    ``TimeoutError`` where one is still there after a minute.
    """
    until = time.monotonic() + _PATIENCE
    with IPRoute() as netlink:
        while left := [name for name in names if netlink.link_lookup(ifname=name)]:
            if time.monotonic() > until:
                raise TimeoutError(f"{', '.join(left)} did not go within {_PATIENCE:g} s")
            threading.Event().wait(0.05)


def _configure(pid: int, address: str) -> None:
    with held_namespace.inside(f"/proc/{pid}/ns/net"), IPRoute() as netlink:
        (index,) = netlink.link_lookup(ifname="eth0")
        host, _, length = address.partition("/")
        netlink.addr("add", index=index, address=host, prefixlen=int(length))
        netlink.link("set", index=index, state="up")
