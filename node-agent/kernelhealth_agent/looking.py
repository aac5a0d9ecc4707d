"""Puts together what it takes to look at a host: the host, the rounds, the examiner."""

from __future__ import annotations

import os

from kernelhealth_agent import arguments, catalogue, errors, identity, inventory, privileges, report
from kernelhealth_agent.examination import Examiner
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.rounds import Rounds
from kernelhealth_agent.survey import Surveyor
from kernelhealth_agent.workers import Workers

AnyHost = LiveHost | RecordedHost
THOROUGH_EVERY = 600.0
"""Seconds after which an inventory is thorough again."""


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


def lacking() -> tuple[str, ...]:
    """Return a sentence for each capability that this process lacks."""
    try:
        return privileges.missing(LiveHost("/").read(privileges.STATUS))
    except errors.HostError as error:
        return (str(error),)
