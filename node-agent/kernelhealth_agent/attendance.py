"""Attendance: one request, from the mark on the disk to the answer, given up if it hangs."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable

from kernelhealth_agent import rebooting, requests, surgery
from kernelhealth_agent.confirmation import Seen
from kernelhealth_agent.entries import Beginning, Line
from kernelhealth_agent.practice import Practice
from kernelhealth_agent.requests import answer
from kernelhealth_agent.surgery import End, Result, StoppedError
from kernelhealth_api.v1alpha1.request import Fixing, HostRequest, RequestState, RequestStatus

_LOGGER = logging.getLogger(__name__)
_SLICE = 0.2
_WITHDRAWN = "it was stopped: the request was withdrawn, or the agent ended"

Progress = Callable[[RequestStatus], None]
"""Hears the answer for the time being; must not wait."""


class Attendance:
    """One request that is attended to; *confirmed* is what the agent has seen itself.

    *heard* is told of each deed before it is done. ``results`` says afterwards how it went with
    each aim that was operated on.
    """

    def __init__(
        self,
        request: HostRequest,
        confirmed: Iterable[Seen],
        practice: Practice,
        heard: Callable[[str], None] | None = None,
    ) -> None:
        self.request = request
        self.results: tuple[Result, ...] = ()
        self._heard = heard
        self._confirmed = tuple(confirmed)
        self._practice = practice
        self._permitted: Callable[[], bool] = lambda: False
        self._stopped = ""
        self._doing = "looking at what there is to do"
        self._final: RequestStatus | None = None
        self._finishing = threading.Lock()
        self._over = threading.Event()

    @property
    def is_under_way(self) -> bool:
        """Whether it was given up and has not come back."""
        return not self._over.is_set()

    def conduct(self, progress: Progress, permitted: Callable[[], bool]) -> RequestStatus:
        """Do it and return the answer; ``BusyError`` where somebody else treats this host.

        When *permitted* says no, what is under way is finished and nothing more is begun.
        """
        self._permitted = permitted
        # The lock goes with the worker: while that one hangs, nobody else may begin.
        held = contextlib.ExitStack()
        held.enter_context(self._practice.journal.held())

        def attended() -> None:
            try:
                with held:
                    self._attend(progress)
            finally:
                self._over.set()

        threading.Thread(target=attended, name="treatment", daemon=True).start()
        self._await(permitted)
        if self._final is None:
            self._finish(RequestState.FAILED, f"{self._stopped}, while {self._doing}")
        if self._final is None:
            raise RuntimeError("a request ended without an answer")
        return self._final

    def _await(self, permitted: Callable[[], bool]) -> None:
        """Wait until it is over, or has taken its time."""
        deadline = self._practice.deadline
        end = self._practice.clock().uptime + deadline
        while not self._over.wait(_SLICE):
            if self._practice.clock().uptime > end:
                self._stopped = f"it did not come back within {deadline:g} s"
                return
            if not permitted():
                self._stopped = _WITHDRAWN

    def _attend(self, progress: Progress) -> None:
        fixing = requests.wanted(self.request)
        try:
            # Another agent may have been at it before this one got hold of the journal.
            recorded = self._practice.found(self.request)
            if recorded is not None:
                self._wins(recorded)
            elif fixing is None:
                self._reboot()
            else:
                self._fix(fixing, progress)
        except Exception as error:  # Whatever it is, there is an answer.
            _LOGGER.exception("Request failed: id=%s", self.request.id)
            self._finish(RequestState.FAILED, f"{type(error).__name__}: {error}")

    def _fix(self, fixing: Fixing, progress: Progress) -> None:
        practice, fix = self._practice, self._practice.fixes[fixing.fix]
        aims = tuple(fix.aims(requests.grounds(fixing, self._confirmed)))
        if not aims:
            reasons = ", ".join(fixing.reasons)
            self._refuse(f"nothing that this agent has confirmed as {reasons} names {fixing.fix}")
            return
        if not self._begun(Beginning(request=self.request, at=practice.clock(), aims=aims)):
            return
        about = f"{fix.name}: {len(aims)} to be done"
        progress(answer(self.request.id, RequestState.RUNNING, about))
        theatre = practice.theatre(self._wait, self._note_doing, self._note_did)
        results = surgery.operate(fix, aims, theatre, self.request.id)
        self.results = tuple(results)
        achieved = [a for a, r in zip(aims, results, strict=False) if r.end is End.ACHIEVED]
        try:
            practice.outlive(self.request, fix, achieved)
        finally:
            self._finish(*surgery.told(fix, results, len(aims) - len(results)))

    def _reboot(self) -> None:
        practice = self._practice
        if against := rebooting.objection(self.request, practice):
            self._refuse(against)
            return
        if not self._begun(Beginning(request=self.request, at=practice.clock())):
            return
        state, message = rebooting.ask(self.request, practice, self._note_doing)
        if state is RequestState.RUNNING:
            self._wins(answer(self.request.id, state, message))
        else:
            self._finish(state, message)

    def _begun(self, beginning: Beginning) -> bool:
        """Write down that it begins; where that is not possible, answer, and say no."""
        try:
            if self._practice.journal.begin(beginning):
                return True
        except OSError as error:
            why = f"the journal cannot be written, so that nothing may be done: {error}"
            self._wins(answer(self.request.id, RequestState.REFUSED, why, beginning.at.wall))
            return False
        recorded = self._practice.found(self.request)
        if recorded is not None:
            self._wins(recorded)
        return False

    def _wait(self, seconds: float) -> None:
        self._check()
        self._practice.wait(seconds)

    def _note_doing(self, deed: str) -> None:
        self._check()
        self._doing = deed
        if self._heard is not None:
            self._heard(deed)
        self._practice.journal.note(self.request.id, Line(doing=deed))

    def _note_did(self, deed: str) -> None:
        self._practice.journal.note(self.request.id, Line(did=deed))
        self._check()

    def _check(self) -> None:
        if not self._permitted():
            self._stopped = self._stopped or _WITHDRAWN
        if self._stopped:
            raise StoppedError(self._stopped)

    def _refuse(self, why: str) -> None:
        clock = self._practice.clock()
        final = answer(self.request.id, RequestState.REFUSED, why, clock.wall)
        if self._wins(final):
            self._practice.keep_refusal(self.request, final)

    def _finish(self, state: RequestState, message: str) -> None:
        """Answer for good, unless that was done before, and write it down."""
        final = answer(self.request.id, state, message, self._practice.clock().wall)
        if not self._wins(final):
            return
        try:
            self._practice.journal.note(self.request.id, Line(ended=final))
        except OSError as error:
            _LOGGER.warning("End of a request was not written down: why=%s", error)

    def _wins(self, final: RequestStatus) -> bool:
        """Whether this is the answer, since there was none before."""
        with self._finishing:
            if self._final is None:
                self._final = final
            return self._final is final
