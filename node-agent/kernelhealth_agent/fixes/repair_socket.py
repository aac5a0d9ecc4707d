"""RepairSocket: lets a connection go on whose windows the kernel ignores; nobody is cut off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelhealth_agent import stalled_sockets
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds import Deed
from kernelhealth_agent.hosts.deeds.sockets import RepairTcpSocket
from kernelhealth_agent.kernel.tcp_sockets import ESTABLISHED
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation

_NAME = "RepairSocket"


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield each connection."""
    return stalled_sockets.aims(_NAME, observations)


def objection(host: Host, aim: Aim) -> str:
    """Return what speaks against it; above all that it is the peer's program that does not read."""
    now = stalled_sockets.found(host, aim.observation)
    if isinstance(now, str):
        return now
    if now.socket.state != ESTABLISHED:
        return "it is being closed, and the kernel repairs open connections only"
    who = stalled_sockets.owners(host, now.socket)
    stale = stalled_sockets.window(host, now.socket, who)
    if isinstance(stale, str):
        return f"its send window could not be read: {stale}"
    if not stale:
        return "the kernel would take the next window that the peer announces: it is a slow reader"
    return ""


def deeds(host: Host, aim: Aim) -> Iterator[Deed]:
    """Put it into repair mode and out of it again."""
    now = stalled_sockets.present(host, aim)
    who = stalled_sockets.owners(host, now.socket)
    title = aim.title.removeprefix("connection ")
    yield RepairTcpSocket(now.socket.inode, now.socket.cookie, who, title)


def achieved(host: Host, aim: Aim) -> bool:
    """Whether data is acknowledged again, or at least the peer's next window would be taken."""
    if stalled_sockets.has_gone_on(host, aim.observation):
        return True
    now = stalled_sockets.found(host, aim.observation)
    if isinstance(now, str):
        return False
    who = stalled_sockets.owners(host, now.socket)
    return stalled_sockets.window(host, now.socket, who) is False


FIX = Fix(_NAME, Stage.RECLAIM, aims, objection, deeds, achieved)
