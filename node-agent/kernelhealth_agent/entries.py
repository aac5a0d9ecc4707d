"""Entries of the journal: what is written about one request, line by line, and read again.

Each line is one JSON object. Lines that make no sense, after a crash or because somebody else wrote
them, are passed over.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from kernelhealth_agent.fix import Aim
from kernelhealth_agent.moments import Moment
from kernelhealth_api.v1alpha1.request import HostRequest, RequestStatus

_MOST_BYTES = 16 << 20


class Beginning(BaseModel):
    """What was known when a request was begun; *aims* is empty for a reboot."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    request: HostRequest
    at: Moment
    aims: tuple[Aim, ...] = ()


class Line(BaseModel):
    """One line: exactly one of these is there. *doing* and *did* name a deed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    begun: Beginning | None = None
    doing: str | None = None
    did: str | None = None
    ended: RequestStatus | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal has of one request. *begun* is None where even that cannot be read."""

    id: str
    begun: Beginning | None = None
    doing: tuple[str, ...] = ()
    did: tuple[str, ...] = ()
    ended: RequestStatus | None = None


def put(descriptor: int, line: Line) -> None:
    """Write one line whole; what a crash left without an end is closed off first."""
    content = line.model_dump_json(exclude_none=True, by_alias=True).encode()
    left = memoryview(b"\n" + content + b"\n")
    while left:
        left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)


def read(path: Path) -> Entry:
    """Return what there is in the file of a request that was begun. Raises nothing."""
    entry = Entry(path.name)
    try:
        readable = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(readable, "rb") as file:
            content = file.read(_MOST_BYTES)
    except OSError:
        return entry
    lines = [line for text in content.split(b"\n") if (line := _line(text)) is not None]
    begun = (line.begun for line in lines if line.begun is not None)
    ended = (line.ended for line in lines if line.ended is not None)
    return Entry(
        id=entry.id,
        begun=next((each for each in begun if each.request.id == entry.id), None),
        doing=tuple(line.doing for line in lines if line.doing is not None),
        did=tuple(line.did for line in lines if line.did is not None),
        ended=next((each for each in ended if each.id == entry.id and each.state.final), None),
    )


def _line(text: bytes) -> Line | None:
    try:
        return Line.model_validate_json(text) if text.strip() else None
    except (ValidationError, RecursionError):
        return None
