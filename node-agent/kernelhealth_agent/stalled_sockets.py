"""Finds a stalled connection again, and asks anew why it stalls."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kernelhealth_agent import errors, namespace_files, reexamination
from kernelhealth_agent.fix import Aim
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.send_window import SendWindowProbe
from kernelhealth_agent.hosts.socket_owners import SocketOwners
from kernelhealth_agent.kernel import send_window, tcp_sockets
from kernelhealth_agent.kernel.send_window import Refusal
from kernelhealth_agent.kernel.tcp_sockets import Ends, TcpSocket
from kernelhealth_api.detector import Observation

KEYS = ("local", "localPort", "peer", "peerPort", "cookie", "acked")
"""What an observation has to carry: addresses as text, ports and all else as numbers."""
_MOST_OWNERS = 16


@dataclass(frozen=True, slots=True)
class Stalled:
    """A connection as it is now; *file* leads into its namespace, *ends* find it there."""

    file: str
    ends: Ends
    socket: TcpSocket


def aims(cure: str, observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield each connection for which that cure is named."""
    for observation in observations:
        if cure in observation.cures:
            ends = " to ".join(observation.subject.addresses)
            yield Aim(observation.key, f"connection {ends or observation.key}", observation)


def present(host: Host, aim: Aim) -> Stalled:
    """Return the connection as it is; ``AbsentError`` where it is none to be treated any more."""
    now = found(host, aim.observation)
    if isinstance(now, str):
        raise errors.AbsentError(aim.title, f"was left alone: {now}")
    return now


def found(host: Host, observation: Observation) -> Stalled | str:
    """Return the connection, if it still stalls; else why it is to be left alone."""
    lacking = reexamination.missing(observation, *KEYS)
    if lacking or observation.subject.namespace is None:
        return lacking or "the finding does not say in which namespace it is"
    file, ends = _file(host, observation.subject.namespace), ends_of(observation)
    now = None if file is None else _current(host, observation, file)
    if file is None or now is None:
        return "there is no such connection any more"
    if now.acked != reexamination.number(observation, "acked"):
        return "its peer has acknowledged data since, so that it goes on by itself"
    if now.timer != tcp_sockets.PERSIST or now.unacked or not now.unsent:
        return "it does not wait for its peer's window any more"
    return Stalled(file, ends, now)


def has_gone_on(host: Host, observation: Observation) -> bool:
    """Whether data was acknowledged since, or the connection is over; raises ``HostError``."""
    file = _file(host, observation.subject.namespace or 0)
    now = None if file is None else _current(host, observation, file)
    before = reexamination.number(observation, "acked")
    return now is None or (now.acked is not None and before is not None and now.acked > before)


def is_over(host: Host, observation: Observation) -> bool:
    """Whether the connection is gone; raises ``HostError``."""
    file = _file(host, observation.subject.namespace or 0)
    return file is None or _current(host, observation, file) is None


def _current(host: Host, observation: Observation, file: str) -> TcpSocket | None:
    """Return the socket as it is now; None where it is over and perhaps another has its ends."""
    now = _asked(host, ends_of(observation), file)
    return now if now and now.cookie == reexamination.number(observation, "cookie") else None


def _asked(host: Host, ends: Ends, file: str) -> TcpSocket | None:
    question = tcp_sockets.question(ends)
    try:
        return tcp_sockets.answer(host.dump(question, file), f"netlink {question.name}")
    except errors.AbsentError:
        return None


def ends_of(observation: Observation) -> Ends:
    """Return both ends of the connection of an observation."""
    return Ends(
        reexamination.text(observation, "local") or "",
        reexamination.number(observation, "localPort") or 0,
        reexamination.text(observation, "peer") or "",
        reexamination.number(observation, "peerPort") or 0,
    )


def owners(host: Host, socket: TcpSocket) -> tuple[tuple[int, int], ...]:
    """Return all processes that have a socket open, with their descriptors."""
    probe = SocketOwners(frozenset({socket.inode}))
    try:
        every = json.loads(host.probe(probe)).get(str(socket.inode), [])
        return tuple((int(pid), int(number)) for pid, number, _ in every)
    except (ValueError, TypeError, AttributeError) as error:
        raise errors.UnreadableError(probe.name, str(error)) from error


def window(host: Host, socket: TcpSocket, who: tuple[tuple[int, int], ...]) -> bool | str:
    """Return whether the kernel ignores what the peer announces, or why that cannot be told.

    See ``kernel/send_window.py`` for when it does.
    """
    if not who:
        return "no process has it open"
    if len(who) > _MOST_OWNERS:
        return f"{len(who)} processes have it open"
    probe = SendWindowProbe(socket.inode, who)
    told = send_window.decode(host.probe(probe), probe.name)
    return told.why if isinstance(told, Refusal) else told.stale


def has_peer_room(host: Host, observation: Observation) -> bool:
    """Whether the peer is on this node and has read everything that came."""
    inode = reexamination.number(observation, "peerNamespace")
    file = None if inode is None else _file(host, inode)
    peer = None if file is None else _asked(host, ends_of(observation).turned, file)
    return peer is not None and not peer.unread


def _file(host: Host, inode: int) -> str | None:
    """Return a file that leads into a namespace; None where none does."""
    return next(_files(host, inode), None)


def _files(host: Host, inode: int) -> Iterator[str]:
    tasks = host.tasks()
    yield from (f"proc/{task.pid}/ns/net" for task in tasks if task.netns == inode)
    mounts, _ = namespace_files.mounts(host, tasks)
    yield from (mount.file for mount in mounts.get(inode, ()))
