"""A foreign program while it runs: what it says, how it ends, and that it does end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

LARGEST: Final = 4096
"""Bytes that are kept of what a program says; it may say more without being stopped."""
MOST: Final = 1 << 20
"""Bytes from which on a program says too much and is stopped."""
_SLICE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Script:
    """A program, its arguments, and how many seconds it may take."""

    path: str
    arguments: tuple[str, ...] = ()
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a program ended: with a *status*, or else with what went wrong, as a sentence.

    *output* is what it said, or what it complained of where it said nothing.
    """

    status: int | None
    output: str = ""
    wrong: str = ""


@dataclass(slots=True)
class _Pipe:
    """The end of a pipe that is read: what is kept of it, and how much came in all."""

    descriptor: int
    content: bytearray = field(default_factory=bytearray)
    bytes: int = 0
    is_open: bool = True

    def read(self) -> bool:
        """Read what is there; whether there may be more."""
        try:
            part = os.read(self.descriptor, 1 << 16)
        except BlockingIOError:
            return False
        self.bytes += len(part)
        self.content.extend(part[: LARGEST - len(self.content)])
        self.is_open = bool(part)
        return self.is_open and self.bytes <= MOST


class Running:
    """A program that was started. ``finished`` first, then ``gone``, then ``reaped``.

    *out* and *err* are the ends of its pipes, non-blocking, and closed in the end. Nobody else may
    wait for it.
    """

    def __init__(self, script: Script, pid: int, out: int, err: int) -> None:
        self.script = script
        self.pid = pid
        self._out, self._err = _Pipe(out), _Pipe(err)
        self._deadline = time.monotonic() + script.timeout

    def finished(self, told: Callable[[], bool]) -> Ending:
        """Return how it ended; after its time, or once *told* says so, it is killed."""
        with contextlib.ExitStack() as ends:
            watched = select.poll()
            for pipe in (self._out, self._err):
                ends.callback(os.close, pipe.descriptor)
                watched.register(pipe.descriptor, select.POLLIN)
            patience = self._watch_its_end(watched, ends)
            while self._status() is None:
                wrong = self._gone_wrong(told)
                if wrong:
                    self.kill()
                    return Ending(None, self._said(), wrong)
                left = max(0.0, self._deadline - time.monotonic())
                watched.poll(1000 * min(left, patience))
                self._read(watched)
            self._read(watched)
        return self._ended()

    def kill(self) -> None:
        """Kill it and all that it started, as far as they stayed in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def gone(self) -> None:
        """Wait until it has ended, for ever if the kernel holds it; its number stays its own."""
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def reaped(self) -> None:
        """Give its number back; from then on it must not be killed."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _watch_its_end(self, watched: select.poll, ends: contextlib.ExitStack) -> float:
        """Have its end wake the poll; return for how long to sleep at the most, in seconds."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:  # Linux < 5.3
            return _SLICE
        ends.callback(os.close, descriptor)
        watched.register(descriptor, select.POLLIN)
        return 0.5

    def _status(self) -> os.waitid_result | None:
        """Return how it ended, None while it runs; it is not reaped by that."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def _gone_wrong(self, told: Callable[[], bool]) -> str:
        """Return why it must be ended now; empty while nothing is against it."""
        if told():
            return "it was ended together with the agent"
        if time.monotonic() >= self._deadline:
            return f"it did not end within {self.script.timeout:g} s and was killed"
        if max(self._out.bytes, self._err.bytes) > MOST:
            return f"it said more than {MOST >> 20} MiB and was killed"
        return ""

    def _read(self, watched: select.poll) -> None:
        """Read what is there, and keep as much of it as is wanted."""
        for pipe in (self._out, self._err):
            if not pipe.is_open:
                continue
            while pipe.read():
                pass
            if not pipe.is_open:
                watched.unregister(pipe.descriptor)

    def _ended(self) -> Ending:
        """Return how it ended, and end what it left behind."""
        found = self._status()
        self.kill()
        if found is not None and found.si_code == os.CLD_EXITED:
            return Ending(found.si_status, self._said())
        name = "a signal" if found is None else signal.Signals(found.si_status).name
        return Ending(None, self._said(), f"it was ended by {name}")

    def _said(self) -> str:
        content = self._out.content.strip() or self._err.content.strip()
        return content.decode(errors="replace")
