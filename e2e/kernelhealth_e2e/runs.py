"""The directories of running clusters, and what a crashed one has left behind."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kernelhealth_e2e import cgroups
from kernelhealth_e2e.cache import locked
from kernelhealth_e2e.processes import has_ended, start_time

if TYPE_CHECKING:
    from collections.abc import Mapping

_RECORD = "run.json"
_END_SECONDS = 30.0
PREFIX = "kernelhealth-"


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Identify a running process; None when there is none."""
        started = start_time(pid)
        return None if started is None else cls(pid, started)

    def lives(self) -> bool:
        """Tell whether this very process still runs."""
        return start_time(self.pid) == self.started

    def kill(self) -> None:
        """Kill this very process and wait until it is gone; nothing happens when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # Asked again with the descriptor in hand, which cannot come to mean another process.
            if self.lives():
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                has_ended(descriptor, _END_SECONDS)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a run: who owns it, what it started, whether it is to outlive its owner."""

    owner: Identity
    processes: tuple[Identity, ...] = ()
    kept: bool = False

    def dumps(self) -> str:
        """Give the record as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Record:
        """Read a record from JSON; ValueError, KeyError or TypeError when it is none."""
        content = json.loads(text)
        processes = tuple(Identity(**one) for one in content["processes"])
        return cls(Identity(**content["owner"]), processes, bool(content["kept"]))


def base(environ: Mapping[str, str]) -> Path:
    """Return where runs live: KERNELHEALTH_RUN, else a directory on disk for large files."""
    return Path(environ.get("KERNELHEALTH_RUN", "/var/tmp/kernelhealth-e2e"))  # noqa: S108


def create(root: Path) -> Path:
    """Make the directory of a new run, owned by this process; its name is its control group's."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(root / ".lock"):
        run = root / f"{PREFIX}{secrets.token_hex(3)}"
        run.mkdir()
        owner = Identity.of(os.getpid())
        if owner is None:
            raise ProcessLookupError("this process has no entry in /proc; is /proc mounted?")
        save(run, Record(owner))
    return run


def save(run: Path, record: Record) -> None:
    """Write a run's record so that a reader sees the old one or the new one."""
    new = run / f"{_RECORD}.new"
    new.write_text(record.dumps())
    new.rename(run / _RECORD)


def load(run: Path) -> Record | None:
    """Read a run's record; None when there is none that can be read."""
    try:
        return Record.loads((run / _RECORD).read_text())
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def sweep(root: Path, *, kept_too: bool = False) -> tuple[str, ...]:
    """Remove what crashed runs have left, and kept ones if asked for; return their names."""
    if not root.is_dir():
        return ()
    with locked(root / ".lock"):
        stale = [
            run for run in sorted(root.glob(f"{PREFIX}*")) if _is_stale(run, kept_too=kept_too)
        ]
        for run in stale:
            _remove(run)
    return tuple(run.name for run in stale)


def remove(run: Path) -> None:
    """End a run's processes that are provably its own, then remove its groups and its files.

    Nobody sweeps meanwhile: without its record it would be taken for the run of a crashed one.
    """
    with locked(run.parent / ".lock"):
        _remove(run)


def _remove(run: Path) -> None:
    record = load(run)
    for process in record.processes if record else ():
        process.kill()
    cgroups.kill(run.name)
    cgroups.remove(run.name)
    shutil.rmtree(run)


def _is_stale(run: Path, *, kept_too: bool) -> bool:
    record = load(run)
    if record is None:
        return True
    return kept_too if record.kept else not record.owner.lives()
