"""A long-running child: its log, its process group, its readiness and its end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kernelhealth_e2e.errors import ProcessError
from kernelhealth_e2e.namespaces import Outside, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PROBE_EVERY_SECONDS = 0.05
_TAIL_LINES = 15
_KILL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: argv[0] is a path or a name on PATH; output goes to the end of ``log``."""

    name: str
    argv: tuple[str, ...]
    log: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    place: Place = field(default_factory=Outside)
    bound: bool = True


@dataclass(frozen=True, slots=True)
class Process:
    """A started command, the leader of its own process group."""

    command: Command
    popen: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The process id in this process's own PID namespace."""
        return self.popen.pid

    def is_running(self) -> bool:
        """Tell whether the process still lives (and reap it when it does not)."""
        return self.popen.poll() is None

    def await_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return as soon as ``ready()`` holds; raise with the log's end if the process dies first.

        The death of the process is an awaited event (pidfd_open(2)); ``ready`` is asked in between
        because a foreign program's readiness has no other sign.
        """
        deadline = time.monotonic() + seconds
        descriptor = os.pidfd_open(self.pid) if self.is_running() else -1
        try:
            while not ready():
                if not self.is_running():
                    raise self._failure(f"ended with status {self.popen.returncode}")
                if time.monotonic() > deadline:
                    raise self._failure(f"was not ready after {seconds:.0f} s")
                has_ended(descriptor, _PROBE_EVERY_SECONDS)
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def stop(self, grace: float = 10.0) -> None:
        """Ask the process group to end, then kill what is left of it after ``grace`` seconds."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(grace)
        self.kill()

    def kill(self) -> None:
        """Kill the whole process group at once and reap the leader."""
        self.signal(signal.SIGKILL)
        try:
            self.popen.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            raise self._failure(
                f"(pid {self.pid}) did not end within {_KILL_SECONDS:.0f} s of SIGKILL; look at "
                f"/proc/{self.pid}/stack, and for children of its PID namespace nobody reaped"
            ) from None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process group; a group that is gone is no error.

        A leader that was reaped may have left its number to a stranger, so then nothing is sent.
        """
        if self.popen.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _failure(self, what: str) -> ProcessError:
        return ProcessError(f"{self.command.name} {what}; {tail(self.command.log)}")


def start(command: Command) -> Process:
    """Start a command in a session of its own, where it says."""
    command.log.parent.mkdir(parents=True, exist_ok=True)
    entrance = command.place.entrance(bound=command.bound)
    with command.log.open("ab") as log, entrance as before_exec:
        popen = subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={**os.environ, **command.environ},
            start_new_session=True,
            preexec_fn=before_exec,  # noqa: PLW1509 - only system calls, prepared beforehand
        )
    return Process(command, popen)


def run(
    argv: tuple[str, ...], *, place: Place | None = None, stdin: str = "", seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a short command to its end and return it, whatever its status; output is text."""
    with (place or Outside()).entrance(bound=True) as before_exec:
        popen = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before_exec,  # noqa: PLW1509 - only system calls, prepared beforehand
        )
    with popen:
        try:
            out, err = popen.communicate(stdin, timeout=seconds)
        except BaseException:
            popen.kill()
            raise
    return subprocess.CompletedProcess(argv, popen.returncode, out, err)


def output(
    argv: tuple[str, ...], *, place: Place | None = None, stdin: str = "", seconds: float = 60
) -> str:
    """Run a short command that must succeed and return what it printed; else ProcessError."""
    result = run(argv, place=place, stdin=stdin, seconds=seconds)
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip()
        raise ProcessError(f"`{' '.join(argv)}` ended with status {result.returncode}: {said}")
    return result.stdout


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """Say where a log is and what its last lines are."""
    try:
        last = log.read_text(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return f"there is no log at {log}"
    return f"the last lines of {log}:\n" + "\n".join(f"  {line}" for line in last)


def start_time(pid: int) -> int | None:
    """Return when a living process started, in ticks since boot (proc(5), stat), else None.

    One that has ended and that its parent has not fetched yet (a zombie) does not live.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])


def has_ended(pidfd: int, seconds: float) -> bool:
    """Wait until a process has ended, at most so long, and tell whether it has (pidfd_open(2))."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
