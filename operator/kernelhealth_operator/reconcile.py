"""One loop over the nodes that something happened to: look, decide, write what differs."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from kernelhealth_operator.agenda import Agenda
from kernelhealth_operator.cluster.backoff import Backoff, Jitter
from kernelhealth_operator.cluster.errors import ApiError, NotLeader
from kernelhealth_operator.fleet import Clock, Fleet
from kernelhealth_operator.metrics import Measurements
from kernelhealth_operator.rounds import Round

_LOGGER = logging.getLogger(__name__)
_BACKOFF = Backoff(first=1.0, most=60.0)


@dataclass(slots=True)
class Reconciler:
    """Works the agenda while this replica leads; a standby keeps everything but the writing warm.

    A failure costs its node a delay and nothing else.
    """

    fleet: Fleet
    agenda: Agenda
    round: Round
    measurements: Measurements
    clock: Clock
    jitter: Jitter
    workers: int
    _failures: dict[str, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Looks at every node once and then at those that change, until cancelled."""
        self.round.begin()
        self.agenda.extend(self.fleet.names())
        async with asyncio.TaskGroup() as group:
            for _ in range(self.workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            name = await self.agenda.take()
            try:
                with self.measurements.reconciling(name):
                    await self._one(name)
            finally:
                self.agenda.done(name)

    async def _one(self, name: str) -> None:
        try:
            due = await self.round.look_at(name)
        except NotLeader as error:
            _LOGGER.info("Node %s was left to the next leader: %s", name, error)
        except ApiError as error:
            self._later(name, error)
        except Exception as error:  # One node's oddity must not stop the care of all others.
            _LOGGER.exception("Node %s could not be dealt with", name)
            self._later(name, error)
        else:
            self._failures.pop(name, None)
            if due is not None:
                self.agenda.at(name, due)

    def _later(self, name: str, error: Exception) -> None:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        delay = _BACKOFF.delay(failures, self.jitter)
        self.measurements.failed()
        _LOGGER.warning("Node %s is tried again in %.1f s: %s", name, delay, error)
        self.agenda.at(name, self.clock.seconds() + delay)
