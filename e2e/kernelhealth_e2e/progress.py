"""What the harness tells the person who waits for it: one line per step, with elapsed time."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STILL_EVERY_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Prints lines as ``[  12.3s] text`` on a stream; seconds count from its creation."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.monotonic
    started: float = field(default_factory=time.monotonic)
    still_every: float = STILL_EVERY_SECONDS

    def say(self, text: str) -> None:
        """Print one line."""
        self.stream.write(f"[{self.clock() - self.started:7.1f}s] {text}\n")
        self.stream.flush()

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Announce a long step, repeat its name while it lasts, and say how long it took."""
        self.say(f"{text} …")
        begun, over = self.clock(), threading.Event()
        reminder = threading.Thread(target=self._remind, args=(text, begun, over), daemon=True)
        reminder.start()
        try:
            yield
        finally:
            over.set()
            reminder.join()
        self.say(f"{text}: done in {self.clock() - begun:.1f} s")

    def _remind(self, text: str, begun: float, over: threading.Event) -> None:
        while not over.wait(self.still_every):
            self.say(f"{text}: still working after {self.clock() - begun:.0f} s")
