"""A namespace in which the kernel waits for the rest of an IP packet: memory that a queue holds.

This is the healthy look-alike of a counter of fragments that has lost count.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import struct
import sys
from collections.abc import Iterator

from pyroute2 import IPRoute

from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import Sandbox, sandbox

_MORE_FRAGMENTS, _UDP = 0x2000, 17


@contextlib.contextmanager
def open_fragment() -> Iterator[Sandbox]:
    """Yield a sandbox whose kernel has the first half of a packet for 30 seconds."""
    with sandbox() as made:
        with held_namespace.inside(made.file):
            with IPRoute() as netlink:
                netlink.link("set", index=1, state="up")
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
                raw.sendto(_first_half(), ("127.0.0.1", 0))
        yield made


def _first_half() -> bytes:
    """Return an IPv4 packet of 64 bytes of which more is said to come."""
    payload, home = bytes(64), socket.inet_aton("127.0.0.1")
    fields = (0x45, 0, 20 + len(payload), 4711, _MORE_FRAGMENTS, 64, _UDP, 0, home, home)
    return struct.pack("!BBHHHBBH4s4s", *fields) + payload


def main() -> None:
    """Keep half a packet until standard input ends."""
    parser = argparse.ArgumentParser(prog="open_fragment", description=__doc__)
    parser.parse_args()
    with open_fragment() as made:
        print(f"namespace {made.inode} of process {made.pid}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
