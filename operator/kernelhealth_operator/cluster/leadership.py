"""Which of several replicas acts, and the certainty that no other one does.

The election of ``kubernetes.aio.leaderelection`` is not used. It decides by the wall clock, which
steps; a request without a deadline can hold its renewal for longer than the lease; an aiohttp
error ends it; it cannot give a lease back; it cancels the work once without waiting for its end
and then returns; and it offers nothing that a write could ask just before it is sent. Its LeaseLock
replaces whole objects, never counts transitions, and brings a second session with its own token.
The Lease written here has the same fields and meaning, so ``kubectl get lease`` shows the holder.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kernelhealth_operator.cluster import errors
from kernelhealth_operator.cluster.backoff import Jitter
from kernelhealth_operator.cluster.clock import boot_clock
from kernelhealth_operator.cluster.lease import Lease, LeaseLock

_LOGGER = logging.getLogger(__name__)
_LOST = float("-inf")


@dataclass(slots=True)
class LeadershipCounters:
    """What happened since the start, for metrics."""

    acquired: int = 0
    lost: int = 0
    released: int = 0
    renewals: int = 0
    failures: int = 0


class Leadership:
    """One candidate. *run* campaigns, leads, and campaigns again, until it is cancelled."""

    def __init__(
        self,
        lock: LeaseLock,
        *,
        clock: Callable[[], float] = boot_clock,
        jitter: Jitter = random.random,
    ) -> None:
        self._lock = lock
        self._timing = lock.timing
        self._clock = clock
        self._jitter = jitter
        self._lease: Lease | None = None
        self._seen: Lease | None = None
        self._seen_at = _LOST
        self._until = _LOST
        self.counters = LeadershipCounters()

    @property
    def holder(self) -> str:
        """Who held the lease when it was last seen, empty if nobody."""
        return "" if self._lease is None else self._lease.holder

    def is_leader(self) -> bool:
        """Whether no other candidate can have taken the lease yet, by this machine's clock."""
        return self._clock() < self._until

    def fence(self) -> float:
        """The seconds left to act; every destructive write asks right before it is sent.

        Made to be the *guard* of ApiSession.request. Raises NotLeader.
        """
        left = self._until - self._clock()
        if left <= 0:
            raise errors.NotLeader(
                f"{self._lock.identity} does not hold the lease {self._lock.namespace}/"
                f"{self._lock.name} (last seen with {self.holder or 'nobody'}); nothing was sent."
            )
        return left

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Does *work* while leading; cancels it when the lease is lost, and campaigns again.

        Ends when *work* ends by itself, with its exception if it has one. When it ends or is
        cancelled, *work* is over first, and then the lease is given back.
        """
        try:
            while not await self._reign(work):
                pass
        finally:
            await self._release()

    async def _reign(self, work: Callable[[], Awaitable[None]]) -> bool:
        """One campaign and one time of leading; True when *work* ended by itself."""
        while True:
            if await self._attempt(self._timing.renew_deadline):
                break
            await asyncio.sleep(self._period())
        self.counters.acquired += 1
        _LOGGER.info("%s leads", self._lock.identity)
        task = asyncio.ensure_future(work())
        try:
            if await self._renew_beside(task):
                task.result()
                return True
        finally:
            await self._end(task)
        self._until = _LOST
        self.counters.lost += 1
        _LOGGER.warning("%s lost the lease to %s", self._lock.identity, self.holder or "nobody yet")
        return False

    async def _renew_beside(self, task: asyncio.Future[None]) -> bool:
        """Renews the lease until it is lost (False) or the work ends (True)."""
        while True:
            await asyncio.wait({task}, timeout=self._period())
            if task.done():
                return True
            left = self._until - self._clock()
            if left <= 0 or (not await self._attempt(left) and not self.is_leader()):
                return False

    async def _end(self, task: asyncio.Future[None]) -> None:
        """Cancels the work, again and again if it must be, until it is over.

        Meanwhile nothing is renewed and the fence closes, so work that lingers cannot write.
        """
        if task.done():
            return
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=self._timing.retry_period)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("The leader's work ended with an error: %r", error)

    async def _attempt(self, limit: float) -> bool:
        """Tries once, for at most *limit* seconds, to get or keep the lease."""
        try:
            async with asyncio.timeout(limit):
                return await self._try()
        except errors.Conflict:
            self._lease = None  # Someone wrote in between: who, the next reading tells.
        except (errors.ApiError, TimeoutError, ValueError) as error:
            self.counters.failures += 1
            _LOGGER.warning("The lease could not be read or written: %s", error or "timed out")
        return False

    async def _try(self) -> bool:
        if self._lease is None or self._lease.holder != self._lock.identity:
            await self._look()
        lease = self._lease
        if self._is_anothers():
            self._until = _LOST
            return False
        # The time of sending, not of the answer: others count from when the write was done.
        sent = self._clock()
        try:
            self._lease = self._seen = (
                await self._lock.create() if lease is None else await self._lock.take(lease)
            )
        except errors.NotFound:
            self._lease = None  # Deleted by someone: made again by the next attempt.
            raise
        self._until = sent + self._timing.renew_deadline
        self.counters.renewals += 1
        return True

    async def _look(self) -> None:
        self._lease = lease = await self._lock.read()
        if lease is not None and (self._seen is None or lease.version != self._seen.version):
            self._seen, self._seen_at = lease, self._clock()

    def _is_anothers(self) -> bool:
        """Whether another candidate holds the lease and was seen renewing it lately enough.

        Counted by the own clock since the change was seen: others' clocks do not matter. A lease
        that somebody deleted is its last holder's for as long, since that one may not know yet.
        """
        seen = self._seen
        if seen is None or seen.holder in {"", self._lock.identity}:
            return False
        duration = seen.spec.duration or self._timing.duration
        return self._clock() < self._seen_at + duration

    async def _release(self) -> None:
        """Closes the fence, then gives the lease back if it is still this candidate's."""
        self._until = _LOST
        lease, self._lease = self._lease, None
        if lease is None or lease.holder != self._lock.identity:
            return
        try:
            await self._lock.give_back(lease)
        except (errors.ApiError, ValueError) as error:
            _LOGGER.info("The lease was not given back, it expires by itself: %s", error)
        else:
            self.counters.released += 1

    def _period(self) -> float:
        return self._timing.retry_period * (0.8 + 0.4 * self._jitter())
