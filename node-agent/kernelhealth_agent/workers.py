"""Runs what may hang in threads that can be given up.

A read of procfs or sysfs can block for as long as the kernel likes, and nothing can stop it. It is
left to its thread, which neither holds up the round nor the end of the program.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from kernelhealth_agent import errors

T = TypeVar("T")

_SLICE = 0.5


@dataclass(slots=True)
class _Job(Generic[T]):
    """One call under way; *done* is set last."""

    call: Callable[[], T]
    started: float
    thread: int = 0
    result: T | None = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        self.thread = threading.get_ident()
        try:
            self.result = self.call()
        except BaseException as error:  # noqa: BLE001 - It is raised again by the one who waits.
            self.error = error
        finally:
            self.done.set()


class Workers:
    """Calls with a deadline, at most one outstanding for each name.

    *doing* returns, by identifier of a thread, what it was reading last.
    """

    def __init__(self, doing: Callable[[int], str]) -> None:
        self._doing = doing
        self._outstanding: dict[str, _Job[object]] = {}
        self._closing = False
        self.abandoned = 0

    @property
    def outstanding(self) -> tuple[str, ...]:
        """The names of the calls that were given up and have not come back."""
        return tuple(name for name, job in self._outstanding.items() if not job.done.is_set())

    def call(self, name: str, function: Callable[[], T], seconds: float) -> T:
        """Return what *function* returns, or raise what it raises, within *seconds*.

        Raises ``HungError`` after that, and without calling it again while an earlier call of the
        same name has not come back; what that one returns is too old to be of use.
        """
        before = self._outstanding.get(name)
        if before is not None:
            if not before.done.is_set():
                raise self._hung(before)
            del self._outstanding[name]
        job = _Job(function, time.monotonic())
        threading.Thread(target=job.run, name=f"look at {name}", daemon=True).start()
        if not self._finished(job, seconds):
            self._outstanding[name] = cast("_Job[object]", job)
            self.abandoned += 1
            raise self._hung(job)
        if job.error is not None:
            raise job.error
        return cast("T", job.result)

    def close(self) -> None:
        """Wait for nothing any more; takes no lock, since a signal handler calls it."""
        self._closing = True

    def _finished(self, job: _Job[T], seconds: float) -> bool:
        end = job.started + seconds
        while not job.done.wait(max(0.0, min(_SLICE, end - time.monotonic()))):
            if self._closing or time.monotonic() >= end:
                return False
        return True

    def _hung(self, job: _Job[T] | _Job[object]) -> errors.HungError:
        return errors.HungError(self._doing(job.thread), round(time.monotonic() - job.started, 1))
