"""Starts a canary, waits for it a little, and never for one that hangs.

The child is the agent's own interpreter, spawned and not forked, since the agent has threads. One
that is not ready in time stays under way, and a later look asks how it got on: its pipes stay open
in the agent, and what that look has to know goes with the answer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from kernelhealth_agent import errors, moments
from kernelhealth_agent.kernel import canary, task_files
from kernelhealth_agent.kernel.canary import Answer, Outstanding
from kernelhealth_agent.kernel.task_files import Task

_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    " from kernelhealth_agent.canary.program import main; main(sys.argv[2:])"
)
_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_GRACE = 1.0  # Seconds for a process to end that was killed.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)


@dataclass(frozen=True, slots=True)
class Canary:
    """One canary: the one that is *outstanding*, or else a new one.

    *veth* allows a pair of devices where there is no other way, *netfilter* is the family in which
    a rule is tried, *leftovers* are devices to be deleted first. It is waited for *wait* seconds
    at the most, and killed at the age of *deadline* seconds.
    """

    outstanding: Outstanding | None = None
    veth: bool = False
    netfilter: int | None = None
    leftovers: tuple[str, ...] = ()
    wait: float = 5.0
    deadline: float = 300.0

    @property
    def name(self) -> str:
        """The name of the question."""
        return "canary"

    def ask(self, root: str) -> bytes:
        """Return how far the canary is, encoded by ``kernel.canary``; may raise ``OSError``."""
        under_way = self.outstanding or _started(self._arguments())
        return canary.encoded(_watched(under_way, root, self))

    def _arguments(self) -> list[str]:
        arguments = ["--veth"] if self.veth else []
        if self.netfilter is not None:
            arguments.append(f"--netfilter={self.netfilter}")
        return arguments + [f"--clean={name}" for name in self.leftovers]


def _started(arguments: list[str]) -> Outstanding:
    """Start a canary; its pid is all that is known of its processes yet."""
    if not sys.executable:
        raise errors.AbsentError("canary", "cannot run: the agent does not know its interpreter")
    results, its_output = os.pipe2(os.O_CLOEXEC)
    its_input, lifeline = os.pipe2(os.O_CLOEXEC)
    try:
        pid = _spawned(arguments, its_input, its_output)
    except BaseException:
        os.close(results)
        os.close(lifeline)
        raise
    finally:
        os.close(its_input)
        os.close(its_output)
    pipes = [(fd, os.fstat(fd).st_ino) for fd in (results, lifeline)]
    return Outstanding(pid, ((pid, 0),), moments.now().uptime, (), pipes[0], pipes[1])


def _spawned(arguments: list[str], its_input: int, its_output: int) -> int:
    """Start the program, in a session that the kernel kills when the lifeline is closed.

    PR_SET_PDEATHSIG would do that when the agent's *thread* that started it ends. A signal for
    input (fcntl(2), F_SETSIG) that is SIGKILL ends a process that is stopped or blocked, too, and
    the agent can arrange for it before the child has done anything.
    """
    fcntl.fcntl(its_input, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(its_input, fcntl.F_SETFL, os.O_ASYNC)
    streams = [(its_input, 0), (its_output, 1), (its_output, 2)]
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, _PACKAGES, *arguments],
        {},
        file_actions=[(os.POSIX_SPAWN_DUP2, there, here) for there, here in streams],
        setsid=True,
        setsigmask=(),
        setsigdef=_SIGNALS,
    )
    fcntl.fcntl(its_input, fcntl.F_SETOWN, -pid)
    return pid


def _watched(child: Outstanding, root: str, asked: Canary) -> Answer:
    """Wait for a canary as long as may be, and kill it when it is too old."""
    results = child.results[0] if _is_ours(child.results) else None
    child, over = _heard(child, results, asked.wait)
    alive = () if over else tuple(_alive(child, root))
    killed = bool(alive) and moments.now().uptime - child.began >= asked.deadline
    if killed:
        _kill(child.leader, alive)
        child, over = _heard(child, results, _GRACE)
        alive = () if over else tuple(_alive(child, root))
    age = max(0.0, moments.now().uptime - child.began)
    if not alive:
        _reap(child.leader)
        _close(child)
        return Answer(child.began, age, child.lines, (), killed)
    processes = tuple((task.pid, task.start) for task in alive)
    return Answer(child.began, age, child.lines, alive, killed, replace(child, processes=processes))


def _heard(child: Outstanding, results: int | None, wait: float) -> tuple[Outstanding, bool]:
    """Return the child with what it has said, and whether all of its processes are over."""
    if results is None:
        return child, False  # The agent is not the one that started it.
    text, end = b"", time.monotonic() + wait
    ready = select.poll()
    ready.register(results, select.POLLIN)
    over = False
    while not over and ready.poll(max(0.0, end - time.monotonic()) * 1000):
        part = os.read(results, 1 << 16)
        over = not part
        text += part
    lines = canary.spoken(text + b"\n" if text and not text.endswith(b"\n") else text)
    return replace(child, lines=(*child.lines, *lines)[-64:]), over


def _kill(leader: int, alive: Iterable[Task]) -> None:
    """Kill what is left of a canary. Those are its own: their starts were compared."""
    for task in alive:
        with contextlib.suppress(OSError):
            if os.getsid(task.pid) == leader:
                os.kill(task.pid, signal.SIGKILL)


def _reap(pid: int) -> None:
    """Take the status of a child that has said its last; its end is a matter of microseconds."""
    end = time.monotonic() + _GRACE
    with contextlib.suppress(ChildProcessError):  # It was the child of an earlier agent.
        while not os.waitpid(pid, os.WNOHANG)[0] and time.monotonic() < end:
            time.sleep(0.001)


def _close(child: Outstanding) -> None:
    for pipe in (child.results, child.lifeline):
        if _is_ours(pipe):
            os.close(pipe[0])


def _alive(child: Outstanding, root: str) -> Iterator[Task]:
    """Yield the processes of a canary that have not ended, with their stacks."""
    owner = canary.owner(child.lines)
    known = dict(child.processes)
    for pid in dict.fromkeys([*known, *([] if owner is None else [owner])]):
        with contextlib.suppress(OSError, errors.HostError):
            place = f"{root.rstrip('/')}/proc/{pid}"
            found = task_files.task(
                _content(f"{place}/stat"),
                f"proc/{pid}/stat",
                _content(f"{place}/wchan"),
                _content(f"{place}/stack"),
            )
            if found.state not in "ZX" and known.get(pid, 0) in {0, found.start}:
                yield found


def _content(path: str) -> bytes:
    """Return a small file; nothing where it may not be read, for a stack is no condition."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(1 << 14)
    except PermissionError:
        return b""


def _is_ours(pipe: tuple[int, int]) -> bool:
    """Whether a descriptor is still the pipe that it was, in this process."""
    try:
        found = os.fstat(pipe[0])
    except OSError:
        return False
    return stat.S_ISFIFO(found.st_mode) and found.st_ino == pipe[1]
