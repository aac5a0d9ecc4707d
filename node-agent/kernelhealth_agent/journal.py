"""The journal: which requests were ever begun on this host, so that none is begun a second time.

Each request has a file of its own, named by its id. That the file exists is the whole proof that
the request was begun: it is made with ``O_EXCL``, which only one process can do once, and brought
to the disk before the first deed. Whatever is in it, nothing or rubbish after a crash, only says
how far it came.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kernelhealth_agent import entries
from kernelhealth_agent.entries import Beginning, Entry, Line
from kernelhealth_agent.moments import Moment
from kernelhealth_api.v1alpha1.request import RequestState, RequestStatus

MOST_ENTRIES = 1024
_STALE = 86_400.0
_LOCK: Final = ".lock"
_MADE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ADDED = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class FullError(OSError):
    """There is no room for another request; the message says what to do."""


class BusyError(OSError):
    """Another process of this host is treating it at this moment."""


class Journal:
    """The files below *directory*; may be used from several threads and processes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def begin(self, beginning: Beginning) -> bool:
        """Write down that a request is begun; False where it was begun before, by whomever.

        When this returns it is on the disk. ``OSError`` where that cannot be had: then nothing may
        be done. ``FullError`` where there are too many requests to remember another one.
        """
        return self._made(beginning.request.id, Line(begun=beginning), beginning.at)

    def dismiss(self, refusal: RequestStatus, at: Moment) -> bool:
        """Write down that what was asked for under an id made no sense; else like ``begin``."""
        return self._made(refusal.id, Line(ended=refusal), at)

    def claim(self, name: str) -> bool:
        """Make a mark that only one can make once; False where it is there. ``OSError``.

        Names of marks begin with a capital, which no id does.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.close(os.open(self._path(name), _MADE, 0o600))
        except FileExistsError:
            return False
        self._sync_names()
        return True

    def disclaim(self, name: str) -> None:
        """Take a mark back, because what it stood for certainly did not happen. ``OSError``."""
        self._path(name).unlink(missing_ok=True)
        self._sync_names()

    def claimed(self, name: str) -> bool:
        """Whether such a mark is there."""
        return os.path.lexists(self._path(name))

    def note(self, request_id: str, line: Line) -> None:
        """Add a line to a request that was begun; it is on the disk when this returns."""
        added = os.open(self._path(request_id), _ADDED)
        try:
            entries.put(added, line)
        finally:
            os.close(added)

    def entry(self, request_id: str) -> Entry | None:
        """Return what there is about a request; None where it was never begun. Raises nothing."""
        path = self._path(request_id)
        return entries.read(path) if os.path.lexists(path) else None

    def latest(self, boot_id: str) -> Entry | None:
        """Return the request of that boot which was begun last, if there is one."""
        entries = (self.entry(name) for name in self._names())
        known = [e for e in entries if e and e.begun and e.begun.request.boot_id == boot_id]
        return max(known, key=lambda e: e.begun.at.uptime if e.begun else 0.0, default=None)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Be the only one on this host who treats it; ``BusyError`` where somebody else is."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(
            self._path(_LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(
                    "another process on this host is treating it: another agent, or the command"
                    " treat"
                ) from error
            yield
        finally:
            os.close(lock)

    def _made(self, request_id: str, line: Line, at: Moment) -> bool:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_room(at)
        try:
            made = os.open(self._path(request_id), _MADE, 0o600)
        except FileExistsError:
            return False
        try:
            self._sync_names()
            entries.put(made, line)
        finally:
            os.close(made)
        return True

    def _path(self, name: str) -> Path:
        return self._directory / name

    def _names(self) -> list[str]:
        try:
            names = os.listdir(self._directory)  # noqa: PTH208 - Names are wanted, not paths.
        except OSError:
            return []
        return [name for name in names if name[0].islower() or name[0].isdigit()]

    def _make_room(self, now: Moment) -> None:
        """Forget requests that nobody can ask for again, if there are too many."""
        names = self._names()
        if len(names) < MOST_ENTRIES:
            return
        for name in names:
            if _is_stale(entries.read(self._path(name)), now):
                self._path(name).unlink(missing_ok=True)
        if len(self._names()) >= MOST_ENTRIES:
            raise FullError(
                f"{self._directory} remembers {MOST_ENTRIES} requests that may not be forgotten"
                " yet: find out who asks so often, or reboot the node"
            )

    def _sync_names(self) -> None:
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _is_stale(entry: Entry, now: Moment) -> bool:
    """Whether nobody can ask for it again: its deadline is a day ago, by both clocks.

    One of them can be set back. What made no sense has no deadline, and nothing was done for it.
    """
    begun, ended = entry.begun, entry.ended
    if begun is not None:
        late = (now.wall - begun.request.deadline).total_seconds()
        return late > _STALE and now.uptime - begun.at.uptime >= _STALE
    if ended is None or ended.state is not RequestState.REFUSED or ended.finished_at is None:
        return False
    return not entry.doing and (now.wall - ended.finished_at).total_seconds() > _STALE
