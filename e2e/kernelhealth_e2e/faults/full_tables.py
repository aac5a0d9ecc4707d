"""Tables of the kernel that fill up: connections that are tracked, and neighbours."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pyroute2 import IPRoute

from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import sandbox

_REACHABLE, _PERMANENT = 0x02, 0x80
_UDP_TIMEOUT = Path("/proc/sys/net/netfilter/nf_conntrack_udp_timeout")
_TRACKING = """
table inet kernelhealth-fault {
  chain output { type filter hook output priority 0; ct state new accept; }
}
"""


def track(namespace: str, connections: int) -> None:
    """Let a namespace track so many connections: a datagram from each of as many ports."""
    with held_namespace.inside(namespace):
        _up("lo")
        subprocess.run(["nft", "-f", "-"], input=_TRACKING.encode(), check=True)
        # Of the namespace only; else what nobody answers is forgotten within half a minute.
        _UDP_TIMEOUT.write_text("600")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for port in range(1024, 1024 + connections):
                sender.sendto(b"?", ("127.0.0.1", port))


@contextlib.contextmanager
def neighbours(namespace: str, number: int, permanent: int = 0) -> Iterator[None]:
    """Let a namespace have so many IPv4 neighbours, which go with their link.

    Besides, so many *permanent* ones, which are exempt from the limit. Of the others the kernel
    takes away what is older than five seconds once there are gc_thresh2 of them on the machine.
    """
    with held_namespace.inside(namespace), IPRoute() as netlink:
        netlink.link("add", ifname="kh-crowd", kind="veth", peer={"ifname": "kh-crowd-peer"})
        _up("kh-crowd")
        index = netlink.link_lookup(ifname="kh-crowd")[0]
        first = ipaddress.IPv4Address("198.18.0.1")
        # What may be taken away comes last.
        states = [_PERMANENT] * permanent + [_REACHABLE] * number
        for offset, state in enumerate(states):
            address = str(first + offset)
            netlink.neigh(
                "add", dst=address, lladdr="02:00:00:00:00:01", ifindex=index, state=state
            )
    try:
        yield
    finally:
        with held_namespace.inside(namespace), IPRoute() as netlink:
            netlink.link("del", index=index)


def _up(name: str) -> None:
    with IPRoute() as netlink:
        netlink.link("set", index=netlink.link_lookup(ifname=name)[0], state="up")


def main() -> None:
    """Fill a table in a new namespace until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="full_tables", description=__doc__, epilog="example: full_tables neighbours 600"
    )
    parser.add_argument("table", choices=("connections", "neighbours"))
    parser.add_argument("number", type=int)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(sandbox())
        if arguments.table == "connections":
            track(made.file, arguments.number)
        else:
            stack.enter_context(neighbours(made.file, arguments.number))
        print(f"full in the namespace of process {made.pid}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
