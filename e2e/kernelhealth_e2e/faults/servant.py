"""A child process that takes something of the kernel on demand, and gives it back by its end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_PR_SET_PDEATHSIG = 1
_COMMAND = struct.Struct("=II")
_DONE, _REFUSED = b"+", b"-"

Take = Callable[[int, int], None]
"""Takes a number of objects of a size in bytes, in the child; ``OSError`` where it gets none."""


@dataclass(frozen=True, slots=True)
class Servant:
    """The child, and the pipes by which it hears and answers."""

    pid: int
    commands: int
    answers: int

    def grow(self, objects: int, size: int = 1024) -> None:
        """Let it take so many more objects; ``OSError`` where the kernel gives no more."""
        os.write(self.commands, _COMMAND.pack(objects, size))
        if os.read(self.answers, 1) != _DONE:
            raise OSError(f"the kernel refused {objects} more objects: is a limit reached?")


@contextlib.contextmanager
def servant(namespace: int, take: Take) -> Iterator[Servant]:
    """Start a child in a new namespace, a flag of clone(2); it is ended with the context."""
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(command_write)
        try:
            _serve(namespace, take, command_read, answer_write)
        finally:
            os._exit(1)
    os.close(command_read)
    os.close(answer_write)
    try:
        if os.read(answer_read, 1) != _DONE:
            raise OSError("the process could not make a namespace of its own: root is needed")
        yield Servant(pid, command_write, answer_read)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(command_write)
        os.close(answer_read)


def _serve(namespace: int, take: Take, commands: int, answers: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.write(answers, _REFUSED if libc.unshare(namespace) else _DONE)
    while len(command := os.read(commands, _COMMAND.size)) == _COMMAND.size:
        try:
            take(*_COMMAND.unpack(command))
        except OSError:
            os.write(answers, _REFUSED)
            continue
        os.write(answers, _DONE)
