"""The surgeon: does what the operator asks for, each request once, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from kernelhealth_agent import requests
from kernelhealth_agent.attendance import Attendance
from kernelhealth_agent.confirmation import Seen
from kernelhealth_agent.examination import Outcome
from kernelhealth_agent.journal import BusyError
from kernelhealth_agent.practice import Practice
from kernelhealth_api.v1alpha1.request import HostRequest, RequestState, RequestStatus

_LOGGER = logging.getLogger(__name__)
_ASK_AGAIN = 1.0

Answered = Callable[[RequestStatus], None]
"""Hears each answer; must not wait."""


class Surgeon:
    """A thread that attends to the request in force, and to one at a time."""

    def __init__(self, practice: Practice, answered: Answered) -> None:
        self._practice = practice
        self._answered = answered
        self._look_again: Callable[[], None] = _nobody
        self._changed = threading.Condition()
        self._wanted: HostRequest | RequestStatus | None = None
        self._confirmed: tuple[Seen, ...] | None = None
        self._last: RequestStatus | None = None
        self._dismissed: RequestStatus | None = None
        self._hung: Attendance | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="surgeon", daemon=True)

    def start(self, look_again: Callable[[], None]) -> None:
        """Begin; *look_again* is called when something was done.

        What was said last in this boot is said again: the server may have lost it.
        """
        self._look_again = look_again
        self._thread.start()
        # On its own, since looking may hang.
        threading.Thread(target=self._tell_survivors, name="survivors", daemon=True).start()

    def adopt(self, spec: Mapping[str, Any]) -> None:
        """Take what the operator wants of the node; never waits."""
        wanted = requests.read(spec)
        with self._changed:
            if wanted != self._wanted:
                self._wanted = wanted
                self._changed.notify_all()

    def hear(self, outcome: Outcome, _trigger: str) -> None:
        """Take what a round has confirmed; never waits."""
        with self._changed:
            self._confirmed = outcome.confirmed
            self._changed.notify_all()

    def close(self, seconds: float) -> None:
        """Begin no further deed, and end when the one under way has come back, if it does."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            before = self._practice.recalled()
            if before is not None:
                self._answered(before)
        except BusyError:
            _LOGGER.info("Last request of this boot is still under way by somebody else")
        except Exception:  # What comes next is attended to all the same.
            _LOGGER.exception("Last request of this boot was not recalled because of a defect")
        while (wanted := self._next()) is not None:
            try:
                self._attend(wanted)
            except Exception as error:  # The node is looked at all the same.
                _LOGGER.exception("Request was not attended to because of a defect")
                self._say(
                    requests.answer(
                        wanted.id,
                        RequestState.FAILED,
                        f"a defect of the agent, please report it: {type(error).__name__}: {error}",
                        self._practice.clock().wall,
                    )
                )

    def _tell_survivors(self) -> None:
        for sentence in self._practice.survivors():
            _LOGGER.info("Fix of an earlier boot was looked at: %s", sentence)

    def _next(self) -> HostRequest | RequestStatus | None:
        """Wait for a request that was not answered to the end; None when it is time to stop."""
        with self._changed:
            while not self._stopped:
                if self._wanted is not None and not self._is_over(self._wanted):
                    return self._wanted
                self._changed.wait()
        return None

    def _is_over(self, wanted: HostRequest | RequestStatus) -> bool:
        """Whether nothing is left to do about a request: a reboot that was begun is one such."""
        if isinstance(wanted, RequestStatus):
            return wanted == self._dismissed
        return self._last is not None and self._last.id == wanted.id

    def _attend(self, wanted: HostRequest | RequestStatus) -> None:
        if isinstance(wanted, RequestStatus):
            self._dismissed = wanted
            self._say(self._practice.dismissed(wanted))
            return
        recorded = self._recorded(wanted)
        if recorded is not None:
            self._say(recorded)
            return
        if not self._is_wanted(wanted):
            return
        against = requests.objection(wanted, self._practice.facts())
        while not against:
            if not self._is_wanted(wanted):
                return
            waiting = self._try(wanted)
            if waiting is None:
                return
            self._wait(wanted, waiting)
            against = requests.objection(wanted, self._practice.facts())
        self._say(self._practice.refused(wanted, against))

    def _recorded(self, wanted: HostRequest) -> RequestStatus | None:
        """Return what is on record, once nobody else is at it any more."""
        while self._is_wanted(wanted):
            try:
                return self._practice.recorded(wanted)
            except BusyError as error:
                self._wait(wanted, str(error))
        return None

    def _try(self, wanted: HostRequest) -> str | None:
        """Do it, and return None; or what it has to wait for."""
        if self._hung is not None and self._hung.is_under_way:
            return f"it waits for {self._hung.request.id}, which was given up and still hangs"
        confirmed = self._confirmed
        if confirmed is None and requests.wanted(wanted) is not None:
            return "it waits for the agent's first look at the node"
        attended = Attendance(wanted, confirmed or (), self._practice)
        try:
            answer = attended.conduct(self._progress, lambda: self._is_wanted(wanted))
        except BusyError as error:
            return str(error)
        self._hung = attended if attended.is_under_way else None
        self._say(answer)
        self._look_again()
        return None

    def _is_wanted(self, request: HostRequest) -> bool:
        wanted = self._wanted
        return not self._stopped and wanted is not None and wanted.id == request.id

    def _wait(self, wanted: HostRequest, waiting: str) -> None:
        self._progress(requests.answer(wanted.id, RequestState.ACCEPTED, waiting))
        with self._changed:
            if self._is_wanted(wanted):
                self._changed.wait(_ASK_AGAIN)

    def _progress(self, answer: RequestStatus) -> None:
        self._answered(answer)

    def _say(self, answer: RequestStatus) -> None:
        self._last = answer
        _LOGGER.info(
            "Request was answered: id=%s state=%s message=%s",
            *(answer.id, answer.state, answer.message),
        )
        self._answered(answer)


def _nobody() -> None:
    """Nobody looks again."""
