"""The namespaces of a node, and how a child process is started inside them."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

# Python 3.12 has os.setns; 3.11 needs the C library. Loaded once, so that nothing is looked up
# between fork and exec.
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
_KINDS = ("net", "uts", "ipc", "mnt")
# include/uapi/linux/sched.h
_NEW_PID = 0x20000000
_NEW_REST = 0x00020000 | 0x04000000 | 0x08000000 | 0x40000000  # mount, UTS, IPC, network


class Place(Protocol):
    """Where a child process is started."""

    def entrance(self, *, bound: bool) -> AbstractContextManager[Callable[[], None]]:
        """Give a ``preexec_fn`` for a child that is forked before the context is left.

        With ``bound`` the kernel kills the child when the thread that forked it dies.
        """


@dataclass(frozen=True, slots=True)
class Outside:
    """Beside this process."""

    @contextmanager
    def entrance(self, *, bound: bool) -> Iterator[Callable[[], None]]:
        """See Place."""

        def enter() -> None:
            _bind(bound=bound)

        yield enter


@dataclass(frozen=True, slots=True)
class Fresh:
    """In new mount, PID, network, UTS and IPC namespaces, as process 1 of the PID namespace.

    When that process dies, the kernel kills every other one in there before it can be waited for.
    """

    @contextmanager
    def entrance(self, *, bound: bool) -> Iterator[Callable[[], None]]:
        """See Place."""

        def enter() -> None:
            _bind(bound=bound)
            _checked(_LIBC.unshare(_NEW_REST))

        with _pid_namespace_for_children(lambda: _checked(_LIBC.unshare(_NEW_PID))):
            yield enter


@dataclass(frozen=True, slots=True)
class Namespaces:
    """In the namespaces of a running process, named by its pid as this process sees it.

    Of those that are not among ``kinds`` (but always the PID namespace) it keeps its own.
    """

    pid: int
    kinds: tuple[str, ...] = _KINDS

    @contextmanager
    def entrance(self, *, bound: bool) -> Iterator[Callable[[], None]]:
        """See Place; the child is the caller's own although it is in another PID namespace."""
        descriptors = [os.open(f"/proc/{self.pid}/ns/{kind}", os.O_RDONLY) for kind in self.kinds]
        theirs = os.open(f"/proc/{self.pid}/ns/pid", os.O_RDONLY)

        def enter() -> None:
            _bind(bound=bound)
            for descriptor in descriptors:
                _checked(_LIBC.setns(descriptor, 0))

        try:
            with _pid_namespace_for_children(lambda: _checked(_LIBC.setns(theirs, 0))):
                yield enter
        finally:
            for descriptor in (*descriptors, theirs):
                os.close(descriptor)


@contextmanager
def _pid_namespace_for_children(choose: Callable[[], None]) -> Iterator[None]:
    # Only the parent can choose a child's PID namespace, before it forks, and only for the calling
    # thread (setns(2)); it is put back afterwards.
    own = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/pid", os.O_RDONLY)
    try:
        choose()
        try:
            yield
        finally:
            _checked(_LIBC.setns(own, 0))
    finally:
        os.close(own)


def enter_network(pid: int) -> None:
    """Move the calling thread into the network namespace of a process."""
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        _checked(_LIBC.setns(descriptor, 0))
    finally:
        os.close(descriptor)


def _bind(*, bound: bool) -> None:
    if bound:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"could not enter a namespace: {os.strerror(number)}")
