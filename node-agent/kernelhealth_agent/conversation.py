"""The conversation with the operator: reports go out, wishes come in and are attended to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from kernelhealth_agent.apiserver import ApiServer
from kernelhealth_agent.delivery import Delivery
from kernelhealth_agent.examination import Outcome
from kernelhealth_agent.patrol import Patrol
from kernelhealth_agent.practice import Practice
from kernelhealth_agent.surgeon import Surgeon
from kernelhealth_agent.watching import Watching

_LAST_WORD = 3.0
"""Seconds for a deed under way to end, and again for the last report to be sent."""


class Conversation:
    """What is said and heard through the API server, by means of one object."""

    def __init__(self, server: ApiServer, delivery: Delivery, practice: Practice) -> None:
        self._server = server
        self._delivery = delivery
        self._surgeon = Surgeon(practice, delivery.answer)

    def hear(self, outcome: Outcome, trigger: str) -> None:
        """Deliver what was seen, and let it be treated; never waits."""
        self._surgeon.hear(outcome, trigger)
        self._delivery.offer(outcome.status)

    def results(self) -> Mapping[str, int]:
        """Return how the attempts to report have ended."""
        return dict(self._delivery.results)

    @contextlib.contextmanager
    def running(self, patrol: Patrol) -> Iterator[None]:
        """Deliver, follow the object and treat meanwhile; send the last state at the end."""

        def wanted(spec: Mapping[str, Any]) -> None:
            patrol.adopt(spec)
            self._surgeon.adopt(spec)

        watching = Watching(self._server, wanted, self._delivery.on_server)
        self._surgeon.start(patrol.look_again)
        self._delivery.start()
        watching.start()
        try:
            yield
        finally:
            watching.stop()
            self._surgeon.close(_LAST_WORD)
            self._delivery.close(_LAST_WORD)
