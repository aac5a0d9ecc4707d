"""What canaries have shown so far, and when the next one is due. Pure.

Each canary makes two network namespaces, which is not nothing on a kernel that loses memory with
each. So it comes seldom while all is quiet, at once when something looks suspicious, and ever more
seldom where the last one did not come back: every one more would only join the queue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kernelhealth_agent.kernel.canary import Answer, Outstanding, Step
from kernelhealth_agent.kernel.task_files import Task

CALM = 300.0
"""Seconds from one canary to the next while all is quiet."""
SOON = 50.0
"""Seconds to the next one where there is a suspicion."""
FIRST_REST, LONGEST_REST = 120.0, 3600.0
"""Seconds to the next one after one that had to be killed, and after many."""
_STOPPED = frozenset("Tt")
PATIENCE = 5.0
"""Seconds that a look waits for a canary; healthy ones take a tenth of one."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Canaries that do not come back: the last of them, and since when (uptime) none did.

    *seconds* is the age of the last one when it was last seen, *tasks* what of it was left then.
    *killed* says that it was told to end, which those of its tasks that are left do not do.
    """

    since: float
    began: float
    seconds: float
    step: Step
    form: str
    tasks: tuple[Task, ...] = ()
    killed: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """A canary that came to its end at *uptime*: seconds for both steps, where it got so far.

    *refused* is why the kernel made no namespace; *netfilter* what went wrong there, empty for
    nothing and None where it was not tried.
    """

    uptime: float
    form: str
    creation: float | None = None
    teardown: float | None = None
    refused: str | None = None
    netfilter: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What is remembered of canaries in this boot.

    *ended* is the uptime at which the last one was over, however it ended. *killed* counts those
    in a row that had to be killed, *failures* those in a row after which netfilter had failed,
    *refusals* those in a row that the kernel made no namespace for. *why* says why none can run.
    """

    outstanding: Outstanding | None = None
    stall: Stall | None = None
    result: Result | None = None
    ended: float | None = None
    killed: int = 0
    failures: int = 0
    refusals: int = 0
    cleaned: int = 0
    why: str = ""


def due(past: History, uptime: float, *, suspicious: bool) -> bool:
    """Whether to ask: after one under way always, else when it is time for a new one."""
    if past.outstanding is not None or past.ended is None:
        return True
    if past.killed:
        rest = min(LONGEST_REST, FIRST_REST * 2.0 ** min(past.killed - 1, 16))
    else:
        doubtful = suspicious or past.failures or past.refusals
        rest = SOON if doubtful else CALM
    return uptime - past.ended >= rest


def told(past: History, answer: Answer, uptime: float) -> History:
    """Return the history with one more answer."""
    if answer.alive:
        stall = None if answer.age < PATIENCE / 2 else _stall(past, answer)
        return replace(past, outstanding=answer.outstanding, stall=stall or past.stall, why="")
    ended = replace(
        past, outstanding=None, ended=uptime, why="", cleaned=past.cleaned + answer.cleaned
    )
    if answer.is_second:
        return replace(ended, why="another canary of this machine is under way")
    if answer.impossible is not None:
        return replace(ended, stall=None, killed=0, why=answer.impossible)
    if answer.killed:
        return replace(ended, stall=_stall(past, answer), killed=past.killed + 1)
    if not answer.done:
        # It was ended by somebody else, the end of an earlier agent most likely: no news at all.
        said = f": {answer.lines[-1]}" if answer.lines else ""
        return replace(ended, why=f"the canary ended before it had an answer{said}")
    return _finished(ended, answer, uptime)


def _finished(ended: History, answer: Answer, uptime: float) -> History:
    result = Result(
        uptime,
        answer.form,
        answer.creation,
        answer.teardown,
        answer.refused,
        answer.netfilter,
    )
    return replace(
        ended,
        stall=None,
        result=result,
        killed=0,
        failures=ended.failures + 1 if answer.netfilter else 0,
        refusals=ended.refusals + 1 if answer.refused is not None else 0,
    )


def _stall(past: History, answer: Answer) -> Stall:
    since = past.stall.since if past.stall is not None else answer.began
    tasks = answer.alive or (past.stall.tasks if past.stall is not None else ())
    stopped = any(task.state in _STOPPED for task in tasks)
    # The kernel is not to blame where somebody stopped the child: it has yet to get going.
    step = Step.START if stopped else answer.step
    return Stall(since, answer.began, answer.age, step, answer.form, tasks[:4], answer.killed)
