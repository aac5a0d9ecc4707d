"""Which nodes are to be looked at, now or at a given time: each at most once, by one worker."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable


class Agenda:
    """A queue of names without duplicates, and one heap of due times for all of them.

    Whoever takes a name must give it back with :meth:`done`; what is added meanwhile is handed out
    again only then, so that two workers never hold the same name. Every operation is O(log n).
    *clock* gives monotonic seconds and must be the running loop's.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[str, None] = {}
        self._held: set[str] = set()
        self._again: set[str] = set()
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, name: str) -> None:
        """Wants *name* to be looked at as soon as a worker is free."""
        if name in self._held:
            self._again.add(name)
        else:
            self._waiting[name] = None
            self._changed.set()

    def extend(self, names: Iterable[str]) -> None:
        """Wants all *names* to be looked at."""
        for name in names:
            self.add(name)

    def at(self, name: str, when: float) -> None:
        """Wants *name* to be looked at when the clock says *when*, or earlier."""
        # Of several wishes only the earliest is kept: whoever looks says anew when to look next.
        if self._due.get(name, when + 1) <= when:
            return
        self._due[name] = when
        heapq.heappush(self._heap, (when, name))
        self._changed.set()

    def clear(self) -> None:
        """Forgets what waits; due times stay."""
        self._waiting.clear()
        self._again.clear()

    async def take(self) -> str:
        """The next name; waits for one."""
        while True:
            self._ripen()
            for name in self._waiting:
                del self._waiting[name]
                self._held.add(name)
                return name
            await self._wait()

    def done(self, name: str) -> None:
        """Gives *name* back; it waits again at once if it was added meanwhile."""
        self._held.discard(name)
        if name in self._again:
            self._again.discard(name)
            self.add(name)

    def _ripen(self) -> None:
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            when, name = heapq.heappop(self._heap)
            # A wish that an earlier one replaced is still in the heap, and means nothing.
            if self._due.get(name) == when:
                del self._due[name]
                self.add(name)

    async def _wait(self) -> None:
        self._changed.clear()
        left = max(0.0, self._heap[0][0] - self._clock()) if self._heap else None
        try:
            async with asyncio.timeout(left):
                await self._changed.wait()
        except TimeoutError:
            return
