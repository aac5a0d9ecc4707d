"""One time that namespaces are stuck, told from the next, whatever it shows itself by.

A canary that is killed is followed by one that hangs elsewhere, and the worker that keeps a canary
comes into sight after it. What is said of them is one and the same trouble: it must neither be
confirmed anew nor be gone meanwhile, since a node whose findings are gone is given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from kernelhealth_agent.kernel.canary_history import Stall
from kernelhealth_agent.kernel.task_files import Task

_MOST_SIGNS = 8


@dataclass(frozen=True, slots=True)
class Episode:
    """The *name* of one such time, and what it shows itself by now; part of a memory."""

    name: str
    signs: tuple[str, ...]


def episode(past: Episode | None, stall: Stall | None, tasks: Iterable[Task]) -> Episode | None:
    """Return the one that goes on, by any sign that is still there, or that begins; None for none.

    *stall* are the canaries that do not come back, *tasks* who destroys namespaces and who waits
    for that, the former first.
    """
    signs = tuple(islice(_signs(stall, tasks), _MOST_SIGNS))
    if not signs:
        return None
    goes_on = past is not None and not set(past.signs).isdisjoint(signs)
    return Episode(past.name if past is not None and goes_on else signs[0], signs)


def _signs(stall: Stall | None, tasks: Iterable[Task]) -> Iterator[str]:
    if stall is not None:
        yield f"canary/{stall.since:.0f}"
    for task in tasks:
        yield f"task/{task.pid}/{task.start}"
