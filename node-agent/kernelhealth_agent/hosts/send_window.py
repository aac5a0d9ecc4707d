"""Reads ``snd_wl1`` of a connection of another process, and leaves the connection as it was.

The kernel tells it to CRIU alone: in repair mode (TCP_REPAIR, net/ipv4/tcp.c). The descriptor is
copied by pidfd_getfd(2) (Linux 5.6), repair mode is entered, TCP_REPAIR_WINDOW read, repair mode
left without a probe (TCP_REPAIR_OFF_NO_WP, Linux 4.19): three system calls in a row. Meanwhile

- a recv(2) or send(2) that began would fail with EPERM, so that every process which has the socket
  open is kept still, by means that end with the agent;
- the socket's own end cannot come: the copy holds it;
- ``sk_reuse`` is overwritten: SO_REUSEADDR, which repair mode switches off for good, is restored.

Were the agent killed between these calls, the socket would stay in repair mode. The next read of
the same socket, by whichever agent comes after, ends in the same way and so heals it; nobody but a
checkpoint uses the mode, and that one traces the process, so that it cannot be kept still here.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import struct
import threading
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import borrowed
from kernelhealth_agent.hosts.borrowed import LIBC
from kernelhealth_agent.hosts.standstill import MovingError, has_ended, standstill

_REPAIR, _REPAIR_WINDOW = 19, 29
_ON, _OFF_NO_PROBE = 1, -1
_WINDOW = struct.Struct("=5I")
_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class SendWindowProbe:
    """Asks for the windows of the socket with this inode number; *owners* are (pid, descriptor).

    Every process that has the socket open must be named.
    """

    inode: int
    owners: tuple[tuple[int, int], ...]

    @property
    def name(self) -> str:
        """The name of the question."""
        return f"send-window/{self.inode}"

    def ask(self, root: str) -> bytes:
        """Return JSON: the fields of struct tcp_repair_window, or ``{"refused": "why"}``.

        Raises ``HungError`` where it takes longer than five seconds.
        """
        answers: list[dict[str, int | str]] = []

        def run() -> None:
            try:
                answers.append(self._asked(root))
            except MovingError as error:
                answers.append({"refused": str(error)})
            except OSError as error:
                answers.append({"refused": error.strerror or str(error)})

        # A thread of its own: with its end, at the latest, everybody runs again.
        thread = threading.Thread(target=run, name=self.name, daemon=True)
        thread.start()
        thread.join(_TIMEOUT)
        if not answers:
            raise errors.HungError(self.name, _TIMEOUT)
        return json.dumps(answers[0]).encode()

    def _asked(self, root: str) -> dict[str, int | str]:
        if why := self._unwanted():
            return {"refused": why}
        living = [owner for owner in self.owners if not has_ended(root, owner[0])]
        if not living:
            return {"refused": "the processes that had it open have ended"}
        with borrowed.copied(*living[0]) as copy:
            stalled = living if borrowed.is_stalled(copy) else []
            with standstill(root, (pid for pid, _ in living), stalled):
                if not all(self._is_open(root, *owner) for owner in living):
                    return {"refused": "its owners changed meanwhile"}
                if os.fstat(copy).st_ino != self.inode:
                    return {"refused": "its descriptor is another socket's now"}
                raw = _read(copy)
            names = ("snd_wl1", "snd_wnd", "max_window", "rcv_wnd", "rcv_wup")
            return dict(zip(names, _WINDOW.unpack(raw), strict=True))

    def _unwanted(self) -> str:
        """Return why it is not even tried, or nothing."""
        pids = {pid for pid, _ in self.owners}
        if not pids:
            return "no process has it open"
        if pids & {1, os.getpid()}:
            return "process 1 or the agent itself has it open"
        return "" if _can_leave() else "this kernel cannot leave repair mode without a probe"

    def _is_open(self, root: str, pid: int, number: int) -> bool:
        try:
            return os.readlink(f"{root}proc/{pid}/fd/{number}") == f"socket:[{self.inode}]"
        except OSError:
            return has_ended(root, pid)  # Who ended meanwhile sees nothing.


def _can_leave() -> bool:
    """Whether the kernel knows TCP_REPAIR_OFF_NO_WP, tried on a socket of the agent."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as own:
        try:
            own.setsockopt(socket.IPPROTO_TCP, _REPAIR, _OFF_NO_PROBE)
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.ENOPROTOOPT}:
                return False
            raise
    return True


def _read(copy: int) -> bytes:
    """Return struct tcp_repair_window of a socket nobody else can use now; may raise OSError."""
    reuse, on, off = ctypes.c_int(), ctypes.c_int(_ON), ctypes.c_int(_OFF_NO_PROBE)
    window, word = ctypes.create_string_buffer(_WINDOW.size), ctypes.c_uint32(4)
    size = ctypes.c_uint32(_WINDOW.size)
    levels = socket.SOL_SOCKET, socket.IPPROTO_TCP
    pointers = [ctypes.byref(each) for each in (reuse, on, off, size, word)]
    LIBC.getsockopt(copy, levels[0], socket.SO_REUSEADDR, pointers[0], pointers[4])
    if LIBC.setsockopt(copy, levels[1], _REPAIR, pointers[1], 4):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    got = LIBC.getsockopt(copy, levels[1], _REPAIR_WINDOW, window, pointers[3])
    left = LIBC.setsockopt(copy, levels[1], _REPAIR, pointers[2], 4)
    reuse.value = int(reuse.value != 0)
    LIBC.setsockopt(copy, levels[0], socket.SO_REUSEADDR, pointers[0], 4)
    if got or left:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return window.raw
