"""A workload: a process that opens sockets and keeps them. Its kernel memory has an owner."""

from __future__ import annotations

import argparse
import resource
import socket
import sys
from contextlib import AbstractContextManager

from kernelhealth_e2e.faults.servant import Servant, servant

_CLONE_NEWNET = 0x40000000


def workload() -> AbstractContextManager[Servant]:
    """Start a process that opens sockets in a network namespace of its own; no connections."""
    kept: list[socket.socket] = []

    def opened(sockets: int, _: int) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        kept.extend(socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(sockets))

    return servant(_CLONE_NEWNET, opened)


def main() -> None:
    """Keep sockets open until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="open_sockets", description=__doc__, epilog="example: open_sockets 20000"
    )
    parser.add_argument("sockets", type=int, help="how many")
    arguments = parser.parse_args()
    with workload() as made:
        made.grow(arguments.sockets)
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
