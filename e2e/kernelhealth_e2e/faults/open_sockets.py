"""A workload: a process that opens sockets and keeps them. Its kernel memory has an owner."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_COMMAND = struct.Struct("=I")


@dataclass(frozen=True, slots=True)
class Workload:
    """A process that opens sockets on demand, in a network namespace of its own."""

    pid: int
    commands: int
    answers: int

    def grow(self, sockets: int) -> None:
        """Open so many more sockets; no connection is made."""
        os.write(self.commands, _COMMAND.pack(sockets))
        if os.read(self.answers, 1) != b"+":
            raise OSError("no more sockets could be opened: raise the hard limit of open files")


@contextlib.contextmanager
def workload() -> Iterator[Workload]:
    """Start the process; its sockets are closed when the context ends."""
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(command_write)
        try:
            _serve(command_read, answer_write)
        finally:
            os._exit(1)
    os.close(command_read)
    os.close(answer_write)
    try:
        if os.read(answer_read, 1) != b"+":
            raise OSError("the process could not make a network namespace: root is needed")
        yield Workload(pid, command_write, answer_read)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(command_write)
        os.close(answer_read)


def _serve(commands: int, answers: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.write(answers, b"-" if libc.unshare(_CLONE_NEWNET) else b"+")
    kept: list[socket.socket] = []
    while len(command := os.read(commands, _COMMAND.size)) == _COMMAND.size:
        try:
            (number,) = _COMMAND.unpack(command)
            kept += [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(number)]
        except OSError:
            os.write(answers, b"-")
            continue
        os.write(answers, b"+")


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
