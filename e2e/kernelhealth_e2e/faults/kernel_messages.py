"""Kernel memory that no process holds: System V messages that nobody receives.

Each lies in kmalloc memory of its size, as an object does that the kernel has lost: no descriptor,
no mapping and no thread goes with it. They lie in an IPC namespace of their own and go with it.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import struct
import sys
from contextlib import AbstractContextManager

from kernelhealth_e2e.faults.servant import Servant, servant

_CLONE_NEWIPC = 0x8000000
_IPC_PRIVATE, _IPC_NOWAIT = 0, 0o4000
_HEADER = 48  # struct msg_msg, which lies in front of the text.
_QUEUE = 16384  # Bytes of text that a queue takes: kernel.msgmnb of a new namespace.


def hoard() -> AbstractContextManager[Servant]:
    """Start a process that queues messages of 64 to 4096 bytes; they are freed at its end."""
    return servant(_CLONE_NEWIPC, _queue)


def _queue(objects: int, size: int) -> None:
    """Send the messages, a few to each queue."""
    libc = ctypes.CDLL(None, use_errno=True)
    length = size - _HEADER
    text = ctypes.create_string_buffer(struct.pack("=q", 1) + bytes(length))
    queue, room = -1, 0
    for _ in range(objects):
        if room < 1:
            queue, room = libc.msgget(_IPC_PRIVATE, 0o600), _QUEUE // length
        if queue < 0 or libc.msgsnd(queue, text, ctypes.c_size_t(length), _IPC_NOWAIT):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room -= 1


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
