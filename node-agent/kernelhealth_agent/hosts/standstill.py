"""Keeps processes from running for a moment, so that they cannot see what is done meanwhile.

By ptrace(2), PTRACE_SEIZE and PTRACE_INTERRUPT, and not by SIGSTOP: a parent is told nothing, a
process that was stopped already stays so, and above all the kernel lets everything run again when
the thread that holds it ends, however that comes (kernel/ptrace.c: exit_ptrace). An agent that is
killed at the worst moment leaves nobody stopped. Therefore a thread that uses this has to end
afterwards.

Stopping interrupts a system call. One that waits begins anew by itself, but a write of which a part
is done already comes back with that part, which not every program expects of a socket that blocks.
So a thread that waits in a write to a stalled socket can be left alone: it does nothing else before
that call is over, and it is looked after once more when everybody else stands.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import time
from collections.abc import Container, Iterable, Iterator

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000
_EVENT_STOP = 128
_MOST_THREADS = 512
_WRITES = {
    "x86_64": {b"1", b"20", b"40", b"44", b"46", b"307"},
    "aarch64": {b"64", b"66", b"71", b"206", b"211", b"269"},
}
"""Numbers of write, writev, sendfile, sendto, sendmsg and sendmmsg by architecture."""
_PATIENCE = 0.2
_PAUSE = 0.0002
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_LIBC.ptrace.restype = ctypes.c_long


class MovingError(Exception):
    """A process cannot be kept still; half a sentence says why."""


@contextlib.contextmanager
def standstill(
    root: str, pids: Iterable[int], stalled: Container[tuple[int, int]] = ()
) -> Iterator[None]:
    """Keep all threads of processes still; below *root* is ``proc``.

    *stalled* are the (pid, descriptor) to which a write may go on waiting. Raises ``MovingError``
    where a process is traced by somebody else, has too many threads, or does not come to a stop
    within 0.2 s; the others run on then.
    """
    held: dict[int, int] = {}
    try:
        for tid, wait in _hold(root, sorted(set(pids)), stalled, held):
            if wait != _call(root, tid):
                raise MovingError(f"thread {tid} goes on writing")
        yield
    finally:
        for tid, undelivered in held.items():
            _ptrace(_DETACH, tid, undelivered)


def _hold(
    root: str, pids: list[int], stalled: Container[tuple[int, int]], held: dict[int, int]
) -> list[tuple[int, bytes]]:
    """Seize thread after thread until there is none that runs and could start another.

    *held* gets them, with the signal that each was about to get. Returns those that were left
    alone, with the call they wait in.
    """
    passed: dict[int, bytes] = {}
    until = time.monotonic() + _PATIENCE
    while fresh := [
        (pid, tid) for pid in pids for tid in _threads(root, pid) if tid not in {*held, *passed}
    ]:
        if len(held) + len(fresh) > _MOST_THREADS:
            raise MovingError(f"it has more than {_MOST_THREADS} threads")
        seized = []
        for pid, tid in fresh:
            call = _call(root, tid)
            if _is_write(call, pid, stalled):
                passed[tid] = call
            elif _seized(root, tid):
                seized.append(tid)
            else:
                passed[tid] = b""
        for tid in seized:
            stopped = _stopped(tid, until)
            if stopped is None:
                passed[tid] = b""
            else:
                held[tid] = stopped
    return [(tid, call) for tid, call in passed.items() if call]


def _threads(root: str, pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"{root}proc/{pid}/task")]
    except OSError:
        return []


def _seized(root: str, tid: int) -> bool:
    """Attach to a thread and ask it to stop; False for one that has ended."""
    code = _ptrace(_SEIZE, tid) or _ptrace(_INTERRUPT, tid)
    if code == errno.ESRCH or (code and _is_over(root, tid)):
        return False
    if code:
        raise MovingError(f"thread {tid} cannot be stopped: {os.strerror(code)}")
    return True


def _call(root: str, tid: int) -> bytes:
    """Return the system call that a thread waits in, with its arguments; "running" for a busy one.

    Nothing where the kernel does not tell (proc(5): /proc/PID/syscall).
    """
    try:
        with open(f"{root}proc/{tid}/syscall", "rb") as stream:
            return stream.read(512)
    except OSError:
        return b""


def _is_write(call: bytes, pid: int, stalled: Container[tuple[int, int]]) -> bool:
    """Whether a call writes to one of the descriptors; of an unknown architecture none does."""
    kind, *arguments = call.split(b" ")[:2]
    if not arguments or kind not in _WRITES.get(os.uname().machine, set()):
        return False
    return (pid, int(arguments[0], 16)) in stalled


def has_ended(root: str, pid: int) -> bool:
    """Whether no thread of a process is left that could do anything."""
    return all(_is_over(root, tid) for tid in _threads(root, pid))


def _is_over(root: str, tid: int) -> bool:
    try:
        with open(f"{root}proc/{tid}/stat", "rb") as stream:
            return stream.read(512).rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"])
    except OSError:
        return True


def _stopped(tid: int, until: float) -> int | None:
    """Wait until a thread stops; return the signal it was about to get, None when it has ended.

    There is no event to wait for with a deadline but SIGCHLD, which is the whole agent's.
    """
    while True:
        try:
            found, status = os.waitpid(tid, os.WNOHANG | _WALL)
        except ChildProcessError:
            return None
        if found and os.WIFSTOPPED(status):
            return 0 if status >> 16 == _EVENT_STOP else os.WSTOPSIG(status)
        if found:
            return None
        if time.monotonic() > until:
            raise MovingError(f"thread {tid} did not stop within {_PATIENCE:g} s")
        time.sleep(_PAUSE)


def _ptrace(kind: int, tid: int, data: int = 0) -> int:
    """Make one call; return 0 or the error."""
    return 0 if _LIBC.ptrace(kind, tid, None, data) == 0 else ctypes.get_errno()
