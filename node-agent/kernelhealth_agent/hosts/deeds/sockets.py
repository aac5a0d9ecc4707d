"""TCP connections of other programs: mended in place, or ended."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import threading
from dataclasses import dataclass
from typing import ClassVar

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import borrowed
from kernelhealth_agent.hosts.borrowed import LIBC
from kernelhealth_agent.hosts.deeds import spaces
from kernelhealth_agent.hosts.deeds.orders import order
from kernelhealth_agent.hosts.deeds.spaces import Space
from kernelhealth_agent.hosts.standstill import MovingError, has_ended, standstill
from kernelhealth_agent.kernel import tcp_sockets
from kernelhealth_agent.kernel.tcp_sockets import Ends

_REPAIR, _ON, _OFF = 19, 1, 0
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class RepairTcpSocket:
    """The socket with that inode number and cookie enters repair mode and leaves it, with a probe.

    Leaving it by TCP_REPAIR_OFF sends a window probe and moves ``snd_wl1`` to the last segment that
    was received (net/ipv4/tcp_output.c: tcp_send_window_probe), so that the peer's answer opens
    the window. Meanwhile a call of its program would fail with EPERM: all *owners*, as (pid,
    descriptor), which must be everybody who has it open, are kept still.
    """

    inode: int
    cookie: int
    owners: tuple[tuple[int, int], ...]
    title: str
    host_wide: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What is repaired."""
        return f"connection {self.title} is repaired"

    def do(self, root: str, keep: str) -> None:  # noqa: ARG002 - It replaces nothing.
        """Repair it; ``UnreadableError`` where that is not safe, ``HungError`` after five seconds.

        A thread of its own holds the owners still: with its end, at the latest, everybody runs.
        """
        outcome: list[Exception | None] = []

        def run() -> None:
            try:
                self._repair(f"{root.rstrip('/')}/")
                outcome.append(None)
            except (OSError, MovingError, errors.HostError) as error:
                outcome.append(error)

        thread = threading.Thread(target=run, name=f"repair-{self.inode}", daemon=True)
        thread.start()
        thread.join(_PATIENCE)
        if not outcome:
            raise errors.HungError(self.name, _PATIENCE)
        if isinstance(outcome[0], MovingError):
            raise errors.UnreadableError(f"socket:[{self.inode}]", str(outcome[0])) from outcome[0]
        if outcome[0] is not None:
            raise outcome[0]

    def _repair(self, root: str) -> None:
        if {pid for pid, _ in self.owners} & {1, os.getpid()}:
            raise errors.UnreadableError(self.title, "process 1 or the agent itself has it open")
        living = [owner for owner in self.owners if not has_ended(root, owner[0])]
        if not living:
            raise errors.AbsentError(self.title, "is of processes that have ended")
        with borrowed.copied(*living[0]) as copy:
            stalled = living if borrowed.is_stalled(copy) else []
            with standstill(root, (pid for pid, _ in living), stalled):
                if not self._is_same(copy) or not all(
                    self._is_open(root, *owner) for owner in living
                ):
                    raise errors.UnreadableError(self.title, "its owners changed meanwhile")
                if not borrowed.waits(copy):
                    raise errors.UnreadableError(self.title, "it goes on by itself by now")
                _mend(copy)

    def _is_same(self, copy: int) -> bool:
        """Whether it is that very socket: inode numbers of sockets are given away again."""
        return os.fstat(copy).st_ino == self.inode and borrowed.cookie(copy) == self.cookie

    def _is_open(self, root: str, pid: int, number: int) -> bool:
        try:
            return os.readlink(f"{root}proc/{pid}/fd/{number}") == f"socket:[{self.inode}]"
        except OSError:
            return has_ended(root, pid)


@dataclass(frozen=True, slots=True)
class DestroyTcpSocket:
    """The connection with these ends and that cookie ends: SOCK_DESTROY of sock_diag(7).

    *file* is a path below the root that leads into its network namespace, whose inode number is
    *space*. Its program gets ECONNABORTED, the peer a reset.
    """

    ends: Ends
    cookie: int
    file: str
    space: int
    title: str
    host_wide: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What is ended."""
        return f"connection {self.title} is ended"

    def do(self, root: str, keep: str) -> None:  # noqa: ARG002 - It replaces nothing.
        """End it; that it is over is fine. ``AbsentError`` for another namespace or kernel."""
        body = tcp_sockets.selector(self.ends, self.cookie)
        try:
            with (
                spaces.entered(root, Space(self.space, self.file, is_host=False)) as inside,
                contextlib.suppress(FileNotFoundError),
            ):
                order(tcp_sockets.SOCK_DIAG, tcp_sockets.DESTROY, body, inside)
        except OSError as error:
            if error.errno in {errno.EOPNOTSUPP, errno.EINVAL}:
                why = "is not offered: this kernel was built without CONFIG_INET_DIAG_DESTROY"
                raise errors.AbsentError("SOCK_DESTROY", why) from error
            raise


def _mend(copy: int) -> None:
    """Enter and leave repair mode; SO_REUSEADDR, which that switches off for good, is restored."""
    reuse, on, off, size = ctypes.c_int(), ctypes.c_int(_ON), ctypes.c_int(_OFF), ctypes.c_uint32(4)
    tcp, any_socket = socket.IPPROTO_TCP, socket.SOL_SOCKET
    where, of = [ctypes.byref(each) for each in (reuse, on, off)], ctypes.byref(size)
    LIBC.getsockopt(copy, any_socket, socket.SO_REUSEADDR, where[0], of)
    failed = LIBC.setsockopt(copy, tcp, _REPAIR, where[1], 4)
    number = ctypes.get_errno()
    if not failed:
        failed = LIBC.setsockopt(copy, tcp, _REPAIR, where[2], 4)
        number = ctypes.get_errno()
        reuse.value = int(reuse.value != 0)
        LIBC.setsockopt(copy, any_socket, socket.SO_REUSEADDR, where[0], 4)
    if failed:
        raise OSError(number, os.strerror(number))
