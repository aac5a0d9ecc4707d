"""Puts together what it takes to look at a host: the host, the rounds, the examiner."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from kernelhealth_agent import (
    arguments,
    catalogue,
    errors,
    identity,
    inventory,
    moments,
    privileges,
    report,
)
from kernelhealth_agent.examination import Examiner, Knowledge
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.rounds import Rounds
from kernelhealth_agent.survey import Surveyor
from kernelhealth_agent.workers import Workers

AnyHost = LiveHost | RecordedHost
THOROUGH_EVERY = 600.0
"""Seconds after which an inventory is thorough again."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What a recording says of itself."""

    wall: datetime | None = None
    uptime: float | None = None
    memories: Mapping[str, Any] = field(default_factory=dict)


_RECORDED: Final = TypeAdapter(_Recorded)


def host_at(root: str) -> AnyHost:
    """Return the host with that root: the running one where a procfs is mounted in it.

    Raises ``AbsentError`` where there is no such directory.
    """
    if not os.path.isdir(root):  # noqa: PTH112 - A root is text all over the hosts.
        raise errors.AbsentError(root, "is no directory")
    if os.path.ismount(os.path.join(root, "proc")):  # noqa: PTH118
        return LiveHost(root)
    return RecordedHost(root)


def examiner(
    host: AnyHost,
    pairs: tuple[catalogue.Pair, ...],
    surveyor: Surveyor,
    deadline: float,
    most_bytes: int = report.MOST_BYTES,
) -> Examiner:
    """Return what examines *host* with the detectors in *pairs*; *deadline* in seconds."""
    return Examiner(
        rounds=Rounds(host, pairs, Workers(host.doing), deadline),
        survey=surveyor,
        remember=inventory.remember,
        identity=identity.identify(host),
        version=arguments.version(),
        most_bytes=most_bytes,
        lacking=lacking() if isinstance(host, LiveHost) else (),
    )


def beginning(host: AnyHost) -> tuple[Knowledge, Moment]:
    """Return what is known before the first look, and when that is.

    A recording may say both; without, it is as if it had been made now. Raises ``HostError`` where
    it says something that cannot be understood.
    """
    now = moments.now()
    if isinstance(host, LiveHost):
        return Knowledge(), now
    said = host.recording()
    try:
        recorded = _RECORDED.validate_python(said)
    except ValidationError as error:
        why = str(error).splitlines()[0]
        raise errors.UnreadableError("recording.json", why) from error
    known = Knowledge(memories=recorded.memories)
    return known, Moment(recorded.wall or now.wall, recorded.uptime or now.uptime)


def lacking() -> tuple[str, ...]:
    """Return a sentence for each capability that this process lacks."""
    try:
        return privileges.missing(LiveHost("/").read(privileges.STATUS))
    except errors.HostError as error:
        return (str(error),)
