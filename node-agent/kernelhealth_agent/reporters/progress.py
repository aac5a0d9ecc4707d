"""Says what is being waited for: at once on a terminal, in a file only what takes long."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.status import Status

_LONG = 2.0


class Progress:
    """A line that changes on a terminal, and goes at the end; plain lines elsewhere.

    *clock* returns seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._began = self._spoke = clock()
        self._status: Status | None = None
        if stream.isatty():
            self._status = Console(file=stream).status("looking")

    def __enter__(self) -> Self:
        """Begin."""
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave nothing behind on a terminal."""
        if self._status is not None:
            self._status.stop()

    def say(self, what: str) -> None:
        """Tell what comes next."""
        now = self._clock()
        seconds = now - self._began
        if self._status is not None:
            self._status.update(f"{what} [dim]({seconds:.0f} s)[/dim]")
        elif now - self._spoke >= _LONG:
            self._spoke = now
            self._stream.write(f"{what} ({seconds:.0f} s)\n")
            self._stream.flush()
