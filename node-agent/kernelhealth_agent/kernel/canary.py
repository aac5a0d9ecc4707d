"""What a canary says: a child of the agent that makes a network namespace and awaits its end.

The child writes one line for each step, seconds where a step took time::

    form quota            how it notices the end: quota or veth
    owner 1234            the process that makes the namespace
    created 0.0005        and has made it
    gone 0.046            the namespace is destroyed, so long after its last process ended
    netfilter ok          a rule was added, listed and deleted inside another one
    done

or what kept it from that: ``busy`` (another one is under way), ``impossible WHY``, ``refused WHY``
(the kernel makes no namespace), ``netfilter failed WHY``, ``netfilter absent WHY``. It may begin
with ``cleaned NAME`` for each device that an earlier one left.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from kernelhealth_agent import errors, wording
from kernelhealth_agent.kernel import naming
from kernelhealth_agent.kernel.task_files import Task

COMM = "khcanary"
"""The name of the child as a process, and of the devices that it makes, before its pid."""
_DEVICE = re.compile(rf"{COMM[:3]}(\d{{1,10}})")
_MOST_LINES = 64


class Step(enum.StrEnum):
    """What a canary is busy with."""

    START = "start"
    CREATION = "creation"
    TEARDOWN = "teardown"
    NETFILTER = "netfilter"


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A canary under way, as much of it as the next look has to know; part of a memory.

    *leader* is the pid of the child, whose session all are in; *processes* are those of it that
    run, as pid and start in ticks; *began* the uptime in seconds. *results* and *lifeline* are
    descriptors of the agent, each with the inode number of its pipe, so that after a restart of
    the agent nobody takes another file for it.
    """

    leader: int
    processes: tuple[tuple[int, int], ...]
    began: float
    lines: tuple[str, ...]
    results: tuple[int, int]
    lifeline: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """How far a canary is, *age* seconds after it began.

    *alive* are its processes that have not ended; none where it is over. *killed* says that the
    agent ended it, or tried to. *outstanding* is None where it is over.
    """

    began: float
    age: float
    lines: tuple[str, ...]
    alive: tuple[Task, ...] = ()
    killed: bool = False
    outstanding: Outstanding | None = None

    @property
    def done(self) -> bool:
        """Whether it came to its end by itself, with or without a complaint."""
        return "done" in self.lines

    @property
    def form(self) -> str:
        """How it notices the end of a namespace: quota or veth; empty where it never began."""
        return naming.short(self._said("form"))

    @property
    def creation(self) -> float | None:
        """Seconds that the kernel took to make a namespace."""
        return _seconds(self._said("created"))

    @property
    def teardown(self) -> float | None:
        """Seconds from the end of the last process of a namespace to the end of the namespace."""
        return _seconds(self._said("gone"))

    @property
    def step(self) -> Step:
        """What it is busy with, or was when it ended."""
        if self.teardown is not None:
            return Step.NETFILTER
        if self.creation is not None:
            return Step.TEARDOWN
        return Step.CREATION if self._said("owner") else Step.START

    @property
    def cleaned(self) -> int:
        """How many devices of earlier ones it has deleted."""
        return sum(line.startswith("cleaned ") for line in self.lines)

    @property
    def netfilter(self) -> str | None:
        """What went wrong in netfilter; empty for nothing, None where it was not tried."""
        said = self._said("netfilter")
        if said is None or said.startswith("absent"):
            return None
        return "" if said == "ok" else wording.clipped(said.removeprefix("failed").strip())

    @property
    def refused(self) -> str | None:
        """Why the kernel makes no namespace, None where it does."""
        return self._said("refused")

    @property
    def impossible(self) -> str | None:
        """Why no canary can run here, None where one can."""
        return self._said("impossible")

    @property
    def is_second(self) -> bool:
        """Whether it left because there was another already."""
        return "busy" in self.lines

    def _said(self, word: str) -> str | None:
        for line in self.lines:
            if line.startswith(f"{word} "):
                return line.removeprefix(f"{word} ")
        return None


_ANSWER: Final[TypeAdapter[Answer]] = TypeAdapter(Answer)


def encoded(answer: Answer) -> bytes:
    """Return an answer as the probe gives it."""
    return _ANSWER.dump_json(answer, indent=1) + b"\n"


def answer(content: bytes, path: str) -> Answer:
    """Decode the answer of the probe; ``UnreadableError`` where it is none."""
    try:
        return _ANSWER.validate_json(content)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise errors.UnreadableError(path, f"{where} {first['msg']}".strip()) from error


def spoken(text: bytes) -> tuple[str, ...]:
    """Return the whole lines of what a canary wrote, the last 64 of them."""
    lines = text.decode(errors="replace").split("\n")[:-1]
    return tuple(lines[-_MOST_LINES:])


def device(pid: int) -> str:
    """Return the name of the device that the canary with that pid makes."""
    return f"{COMM[:3]}{pid}"


def maker(name: str) -> int | None:
    """Return the pid of the canary that made a device of that name; None for any other."""
    found = _DEVICE.fullmatch(name)
    return int(found[1]) if found else None


def owner(lines: tuple[str, ...]) -> int | None:
    """Return the pid of the process that makes the namespace, once it is there."""
    found = [line.split()[1] for line in lines if line.startswith("owner ")]
    return int(found[-1]) if found and found[-1].isdecimal() else None


def _seconds(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None
