"""Delivers the newest report to the API server, whatever happens to either of them."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter

from kernelhealth_agent import report
from kernelhealth_agent.apiserver import ApiServer, RefusedError, UnreachableError
from kernelhealth_agent.outbox import Outbox
from kernelhealth_api.v1alpha1.nodekernelhealth import NodeKernelHealthStatus
from kernelhealth_api.v1alpha1.request import RequestStatus

_LOGGER = logging.getLogger(__name__)
_NOT_FOUND = 404


class Delivery:
    """A thread that sends what is in the outbox when it is due.

    ``results`` counts the attempts: sent, missing (the operator has not made the object yet),
    refused, unreachable, failed.
    """

    def __init__(self, server: ApiServer, outbox: Outbox) -> None:
        self._server = server
        self._outbox = outbox
        self._changed = threading.Condition()
        self._closing = False
        self._said = ""
        self._delivered: str | None = None
        self._heard: str | None = ""
        self._answer: RequestStatus | None = None
        self.results: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def offer(self, status: NodeKernelHealthStatus) -> None:
        """Take the newest report; never waits."""
        with self._changed:
            self._put(status)

    def answer(self, answer: RequestStatus) -> None:
        """Take what is to be said of the operator's request; it goes out at once. Never waits."""
        with self._changed:
            self._answer = answer
            if self._outbox.report is not None:
                self._put(self._outbox.report)

    def _put(self, status: NodeKernelHealthStatus) -> None:
        """Put a report with the newest answer into the outbox: each is the whole status."""
        if self._answer is not None:
            status = report.fitted(status.model_copy(update={"request": self._answer}))
        self._outbox.offer(status, time.monotonic())
        self._changed.notify()

    def on_server(self, health: str | None) -> None:
        """Hear what health the server has; if it is not what was sent, it is sent again.

        The operator speaks for an agent that is silent; and it may make the object anew.
        """
        with self._changed:
            replaced = self._delivered is not None and self._delivered != health
            self._heard = health
            # A server that has just started refuses for a moment, before it knows its own rules.
            if replaced or self._said in {"missing", "refused", "unreachable"}:
                self._outbox.disowned(time.monotonic())
                self._changed.notify()

    def close(self, seconds: float) -> None:
        """Send what matters and was not sent yet, if that works within *seconds*."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        while (status := self._next()) is not None:
            try:
                retry_after = self._send(status)
            except Exception:  # The measuring goes on, and so does the delivery.
                _LOGGER.exception("Report was not delivered because of a defect")
                self.results["failed"] += 1
                retry_after = 0.0
            with self._changed:
                if retry_after is None:
                    self._arrived(status)
                else:
                    self._outbox.failed(time.monotonic(), retry_after)
                    if self._closing:
                        return

    def _arrived(self, status: NodeKernelHealthStatus) -> None:
        """Take note that the server has a report, unless it has something else by now.

        What is heard while a report is on its way may be older or newer than that.
        """
        now, self._delivered = time.monotonic(), str(status.health)
        self._outbox.sent(status, now)
        if self._heard not in {"", self._delivered}:
            self._outbox.disowned(now)

    def _next(self) -> NodeKernelHealthStatus | None:
        """Wait until a report is due and return it; None when it is time to end."""
        with self._changed:
            while True:
                if self._closing:
                    return self._outbox.report if self._outbox.unsent() else None
                now = time.monotonic()
                due = self._outbox.due(now)
                if due is not None and due <= now:
                    self._heard = ""
                    return self._outbox.report
                self._changed.wait(None if due is None else due - now)

    def _send(self, status: NodeKernelHealthStatus) -> float | None:
        """Return None when it arrived, else how many seconds the server wants to be let be."""
        try:
            self._server.apply_status(report.wire(status))
        except RefusedError as error:
            missing = error.status == _NOT_FOUND
            self._say("missing" if missing else "refused", str(error))
            return error.retry_after or 0.0
        except UnreachableError as error:
            self._say("unreachable", str(error))
            return 0.0
        self._say("sent", "")
        return None

    def _say(self, result: str, why: str) -> None:
        """Count the attempt, and log it when it went otherwise than the one before."""
        self.results[result] += 1
        if result != self._said:
            self._said = result
            if result == "sent":
                _LOGGER.info("NodeKernelHealth was reported")
            else:
                _LOGGER.warning("NodeKernelHealth was not reported: result=%s why=%s", result, why)


def outbox(refresh: float, spread: float) -> Outbox:
    """Return an empty outbox that leaves to real chance what is left to chance."""
    return Outbox(refresh, spread, random.random)
