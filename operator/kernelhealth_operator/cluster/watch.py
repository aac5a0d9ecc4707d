"""A list and watch that holds narrow values only and gets over whatever the way to it does."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Generic

from kernelhealth_operator.cluster import errors
from kernelhealth_operator.cluster.backoff import Jitter
from kernelhealth_operator.cluster.call import Patience
from kernelhealth_operator.cluster.envelope import Envelope, Event, M
from kernelhealth_operator.cluster.holdings import Change, Holdings, V
from kernelhealth_operator.cluster.kinds import Kind, WatchCounters, WatchSettings
from kernelhealth_operator.cluster.lines import Lines
from kernelhealth_operator.cluster.session import ApiSession

_LOGGER = logging.getLogger(__name__)
_ONCE = Patience(attempts=1, timeout=60.0)  # The watch has a backoff of its own.
_MUTE_WATCHES = 3
"""After so many the list is read again: a resourceVersion from before etcd was restored from a
backup lies in the future, and the API server then waits for it without a word."""


@dataclass(slots=True)
class _Progress:
    """Where the watch is. *mute* counts watches in a row that opened and then said nothing.

    *highest* is the youngest state of the cluster that was seen.
    """

    resource_version: str | None = None
    highest: int = 0
    failures: int = 0
    mute: int = 0
    counters: WatchCounters = field(default_factory=WatchCounters)

    def fruit(self, resource_version: str) -> None:
        """Something was understood up to *resource_version*."""
        self.resource_version = resource_version or self.resource_version
        self.highest = max(self.highest, errors.version(resource_version))
        self.failures = self.mute = 0


class NarrowWatch(Generic[M, V]):
    """The objects of one kind as narrow values, kept current.

    *synced* is set when the first list is complete. *last_heard* is when (by *clock*, seconds) the
    last byte of a good answer came, for the liveness: a healthy watch hears a bookmark each minute.
    """

    def __init__(
        self,
        session: ApiSession,
        kind: Kind[M, V],
        settings: WatchSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Jitter = random.random,
    ) -> None:
        self._session = session
        self._kind = kind
        self._settings = settings or WatchSettings()
        self._clock = clock
        self._jitter = jitter
        self._envelope = Envelope(kind.model)
        self._progress = _Progress()
        self.holdings: Holdings[M, V] = Holdings(kind.keep)
        self.synced = asyncio.Event()
        self.last_heard = clock()

    @property
    def counters(self) -> WatchCounters:
        """What happened since the start."""
        return self._progress.counters

    @property
    def resource_version(self) -> str | None:
        """Where the watch would resume; None before the first list and after an expiry."""
        return self._progress.resource_version

    async def changes(self) -> AsyncGenerator[Change[V], None]:
        """All changes, for ever; only one reader. Close it (``aclosing``) when leaving early.

        A reader that is slow slows the server down; nothing piles up here. Raises ``HistoryLost``.
        """
        while True:
            try:
                async with aclosing(self._round()) as batches:
                    async for batch in batches:
                        for change in batch:
                            yield change
                failure: Exception | None = None
            except (errors.ApiError, errors.StreamBroken) as error:
                failure = error
            await self._pause(failure)

    async def _round(self) -> AsyncGenerator[list[Change[V]], None]:
        """One list if need be, and one watch until the server ends it."""
        if self._progress.resource_version is None:
            async with aclosing(self._list()) as pages:
                async for changes in pages:
                    yield changes
            self.synced.set()
        async with aclosing(self._watch()) as batches:
            async for changes in batches:
                yield changes

    async def _pause(self, failure: Exception | None) -> None:
        progress = self._progress
        if failure is None and not progress.mute:
            return
        if isinstance(failure, errors.Gone):
            progress.resource_version = None
            progress.counters.expired += 1
        elif failure is not None:
            progress.counters.failures += 1
            _LOGGER.warning("A watch was interrupted and is taken up again: %s", failure)
        if progress.mute >= _MUTE_WATCHES:
            progress.resource_version, progress.mute = None, 0
        progress.failures += 1
        asked = failure.retry_after if isinstance(failure, errors.ApiError) else None
        delay = self._settings.backoff.delay(progress.failures, self._jitter)
        await asyncio.sleep((asked or 0.0) + delay)

    def _heard(self) -> None:
        self.last_heard = self._clock()

    async def _list(self) -> AsyncGenerator[list[Change[V]], None]:
        self.counters.lists += 1
        self.holdings.begin_list()
        call, following = f"LIST {self._kind.path}", ""
        while True:
            params = {**self._kind.selectors, "limit": str(self._settings.chunk)}
            if following:
                params["continue"] = following
            body = await self._session.read(self._kind.path, params=params, patience=_ONCE)
            self._heard()
            page = self._envelope.page(call, body)
            errors.expect_history(call, page.resource_version, self._progress.highest)
            del body  # The next page comes while nothing of this one is held.
            yield self.holdings.page(page)
            following = page.continue_token
            if not following:
                break
        yield self.holdings.end_list()
        self._progress.fruit(page.resource_version)

    async def _watch(self) -> AsyncGenerator[list[Change[V]], None]:
        self.counters.watches += 1
        lines = Lines()
        parameters = self._watch_parameters()
        stream = self._session.stream(self._kind.path, parameters, silence=self._settings.silence)
        async with stream as pieces:
            self._heard()
            self._progress.mute += 1
            async for piece in pieces:
                self._heard()
                for line in lines.feed(piece):
                    # Line by line: what a good line changed is told even if the next is garbage.
                    changes = self._line(line)
                    if changes:
                        yield changes

    def _watch_parameters(self) -> dict[str, str]:
        settings = self._settings
        length = settings.shortest + self._jitter() * (settings.longest - settings.shortest)
        return {
            **self._kind.selectors,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._progress.resource_version or "",
            "timeoutSeconds": str(max(1, round(length))),
        }

    def _line(self, line: bytes) -> list[Change[V]]:
        event: Event[M] = self._envelope.event(self._kind.path, line)
        if event.type == "BOOKMARK":
            self.counters.bookmarks += 1
        else:
            self.counters.events += 1
        if event.unreadable:
            _LOGGER.warning("An object could not be read: %s: %s", event.key, event.unreadable)
        changes = self.holdings.event(event)
        self._progress.fruit(event.resource_version)
        return changes
