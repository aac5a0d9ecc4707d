"""DestroySocket: ends a connection that will never go on, so that its programs notice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelhealth_agent import stalled_sockets
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds import Deed
from kernelhealth_agent.hosts.deeds.sockets import DestroyTcpSocket
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation

_NAME = "DestroySocket"


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield each connection."""
    return stalled_sockets.aims(_NAME, observations)


def objection(host: Host, aim: Aim) -> str:
    """Return what speaks against it; where no window can be read, an idle peer has to prove it."""
    now = stalled_sockets.found(host, aim.observation)
    if isinstance(now, str):
        return now
    stale = stalled_sockets.window(host, now.socket, stalled_sockets.owners(host, now.socket))
    if stale is True:
        return ""
    if stale is False:
        return "the kernel would take the next window that the peer announces: it is a slow reader"
    if not stalled_sockets.has_peer_room(host, aim.observation):
        return f"nothing proves any more that it is stuck: {stale}"
    return ""


def deeds(host: Host, aim: Aim) -> Iterator[Deed]:
    """End it, by both ends and its cookie."""
    now = stalled_sockets.present(host, aim)
    yield DestroyTcpSocket(
        now.ends,
        now.socket.cookie,
        now.file,
        aim.observation.subject.namespace or 0,
        aim.title.removeprefix("connection "),
    )


def achieved(host: Host, aim: Aim) -> bool:
    """Whether the connection is over."""
    return stalled_sockets.is_over(host, aim.observation)


FIX = Fix(_NAME, Stage.RECLAIM, aims, objection, deeds, achieved)
