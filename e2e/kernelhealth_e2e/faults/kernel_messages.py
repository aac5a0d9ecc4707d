"""Kernel memory that no process holds: System V messages that nobody receives.

Each lies in kmalloc memory of its size, as an object does that the kernel has lost: no descriptor,
no mapping and no thread goes with it. They lie in an IPC namespace of their own and go with it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

_CLONE_NEWIPC = 0x8000000
_PR_SET_PDEATHSIG = 1
_IPC_PRIVATE, _IPC_NOWAIT = 0, 0o4000
_HEADER = 48  # struct msg_msg, which lies in front of the text.
_QUEUE = 16384  # Bytes of text that a queue takes: kernel.msgmnb of a new namespace.
_COMMAND = struct.Struct("=II")


@dataclass(frozen=True, slots=True)
class Hoard:
    """A process that queues messages on demand."""

    pid: int
    commands: int
    answers: int

    def grow(self, objects: int, size: int = 1024) -> None:
        """Take so many more objects of kernel memory, *size* bytes each; 64 to 4096."""
        os.write(self.commands, _COMMAND.pack(objects, size))
        if os.read(self.answers, 1) != b"+":
            raise OSError("the kernel took no more messages: are there 32000 queues already?")


@contextlib.contextmanager
def hoard() -> Iterator[Hoard]:
    """Start the process; what it hoards is freed when the context ends."""
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
            raise OSError("the process could not make an IPC namespace: root is needed")
        yield Hoard(pid, command_write, answer_read)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(command_write)
        os.close(answer_read)


def _serve(commands: int, answers: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.write(answers, b"-" if libc.unshare(_CLONE_NEWIPC) else b"+")
    while len(command := os.read(commands, _COMMAND.size)) == _COMMAND.size:
        os.write(answers, b"+" if _queue(libc, *_COMMAND.unpack(command)) else b"-")


def _queue(libc: ctypes.CDLL, objects: int, size: int) -> bool:
    """Send the messages, a few to each queue."""
    length = size - _HEADER
    text = ctypes.create_string_buffer(struct.pack("=q", 1) + bytes(length))
    queue, room = -1, 0
    for _ in range(objects):
        if room < 1:
            queue, room = libc.msgget(_IPC_PRIVATE, 0o600), _QUEUE // length
        if queue < 0 or libc.msgsnd(queue, text, ctypes.c_size_t(length), _IPC_NOWAIT):
            return False
        room -= 1
    return True


def main() -> None:
    """Hoard kernel memory until standard input ends: a number of objects more for each line."""
    parser = argparse.ArgumentParser(
        prog="kernel_messages", description=__doc__, epilog="example: kernel_messages 20000"
    )
    parser.add_argument("objects", type=int, help="objects to begin with")
    parser.add_argument("--size", type=int, default=1024, help="bytes of each (default 1024)")
    arguments = parser.parse_args()
    with hoard() as made:
        made.grow(arguments.objects, arguments.size)
        print("ready", flush=True)
        for line in sys.stdin:
            made.grow(int(line), arguments.size)
            print("ready", flush=True)


if __name__ == "__main__":
    main()
