"""What /proc/PID/stat, stack and wchan say of a task: fs/proc/array.c, fs/proc/base.c."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import naming

_TICKS = 100  # USER_HZ of every architecture that Kubernetes runs on.
_STAT = re.compile(rb"(\d{1,10}) \((.*)\) ([A-Za-z]) (.*)\n?", re.DOTALL)
_FRAME = re.compile(
    rb"^\[<[0-9a-f]+>\] ([\w.$]+)\+0x[0-9a-f]+/0x[0-9a-f]+( \[[\w-]+\])?", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Task:
    """A process or thread. *start* is in ticks since boot: with the pid it names one task only.

    *state* is the letter of the scheduler (R running, S asleep, D asleep and not to be disturbed,
    I idle, Z ended); *cpu* is in seconds, of user and system together; *threads* counts them.
    *stack* are the kernel's functions, innermost first, a module behind its name; it is empty for a
    task that runs on a processor and where it may not be read.
    """

    pid: int
    comm: str
    state: str
    cpu: float
    threads: int
    start: int
    wchan: str = ""
    stack: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The task as comm[pid]."""
        return f"{self.comm}[{self.pid}]"

    @property
    def functions(self) -> frozenset[str]:
        """The names of all functions that it is known to be in."""
        return frozenset([self.wchan, *(frame.split()[0] for frame in self.stack)]) - {""}


def task(stat: bytes, path: str, wchan: bytes = b"", stack: bytes = b"") -> Task:
    """Decode /proc/PID/stat, with what the two other files say where they were read.

    Raises ``UnreadableError``. The name may hold anything, closing brackets too.
    """
    found = _STAT.fullmatch(stat)
    fields = found[4].split() if found else []
    # Of the fields after the state: utime and stime 10 and 11, num_threads 16, starttime 18.
    numbers = [fields[at] for at in (10, 11, 16, 18)] if len(fields) > 18 else []
    if found is None or not numbers or not all(_is_number(number) for number in numbers):
        raise errors.UnreadableError(path, "it has no name, state and times of a task", 1)
    user, system, threads, start = (int(number) for number in numbers)
    return Task(
        pid=int(found[1]),
        comm=naming.short(found[2].decode(errors="replace")),
        state=found[3].decode(),
        cpu=(user + system) / _TICKS,
        threads=threads,
        start=start,
        wchan=waits_in(wchan),
        stack=frames(stack),
    )


def state(stat: bytes) -> str:
    """Return the letter of the state alone, which is asked of thousands; empty for no such file."""
    end = stat.rfind(b") ")
    return stat[end + 2 : end + 3].decode(errors="replace") if end > 0 else ""


def waits_in(wchan: bytes) -> str:
    """Return the function in which a task waits; empty where it does not, or nobody may know."""
    text = naming.short(wchan.decode(errors="replace").strip())
    return "" if text == "0" else text


def frames(stack: bytes) -> tuple[str, ...]:
    """Return the functions of /proc/PID/stack, innermost first; what is no frame is left out."""
    return tuple(
        (name + (module or b"")).decode(errors="replace") for name, module in _FRAME.findall(stack)
    )


def with_stack(task: Task, stack: tuple[str, ...]) -> Task:
    """Return a task with another stack."""
    return replace(task, stack=stack)


def _is_number(field: bytes) -> bool:
    return field.isdigit() and len(field) <= 20
