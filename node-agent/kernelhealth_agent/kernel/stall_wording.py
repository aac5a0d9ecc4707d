"""What is said of a connection that stalls: who at both ends, since when, why, and what to do."""

from __future__ import annotations

from kernelhealth_agent.kernel import occupants
from kernelhealth_agent.kernel.inet_diag import Connection
from kernelhealth_agent.kernel.persist import Persist, Rules
from kernelhealth_agent.kernel.send_window import Refusal, SendWindow
from kernelhealth_agent.kernel.socket_owners import Owner

_FIX = "18a4c0eab262"


def stuck(one: Persist) -> str:
    """Say that the kernel ignores the peer's window, and by what that is proven."""
    window = one.known.window
    if isinstance(window, SendWindow):
        proof = (
            f"snd_wl1 {window.snd_wl1} is after all that can still come in"
            f" ({window.rcv_wup} + {window.rcv_wnd})"
        )
    else:
        proof = "the peer has read everything and has room"
    return (
        f"{_route(one)} cannot be used since {_date(one)}: the kernel ignores every window that"
        f" the peer announces ({proof}), and {_waiting(one.connection)} bytes wait for ever;"
        " repair the socket (RepairSocket) or restart one of the two programs, and update to a"
        f" kernel with commit {_FIX}; no reboot is needed."
    )


def slow(one: Persist, rules: Rules, uptime: float) -> str:
    """Say that the peer has no room, and what is known of the reason."""
    return (
        f"{_route(one)} waits since {_date(one)} with {_waiting(one.connection)} bytes to send: the"
        f" peer answers but has no room for them; {_why(one, rules, uptime)}."
    )


def _why(one: Persist, rules: Rules, uptime: float) -> str:
    window = one.known.window
    if one.peer is not None and one.peer.unread:
        unread = f"{one.peer.unread} bytes wait there to be read"
        return f"{unread}, so look why the program does not read them"
    if isinstance(window, SendWindow):
        return (
            "snd_wl1 shows that the kernel takes the windows which are announced, so look why the"
            " program there does not read"
        )
    if one.is_suspect(rules, uptime):
        return _doubt(window)
    return (
        "too little was received meanwhile for the kernel to be at fault, so look why the program"
        " there does not read"
    )


def _doubt(window: Refusal | None) -> str:
    why = window.why if window is not None else "it was not asked for"
    return (
        f"whether the kernel ignores the peer's window is not known, as snd_wl1 was not read"
        f" ({why}); look at the receive queue of the peer (ss -tn there), and if that is empty"
        " restart one of the two programs"
    )


def _route(one: Persist) -> str:
    """Return the connection in words: who is at each end, as far as this node can tell."""
    owners, now = one.known.owners, one.connection
    program = f" of {processes(owners)}" if owners else ""
    who = occupants.title(one.space)
    return f"{who}: the connection{program} from {now.here} to {now.there}{_peer(one)}"


def _peer(one: Persist) -> str:
    """Return who is at the other end, where that is on this node and known."""
    known = []
    if one.peer_space is not None and one.peer_space.inode != one.space.inode:
        title = occupants.title(one.peer_space)
        known.append(f"{title[:1].lower()}{title[1:]}")
    if one.peer is not None and one.known.peer_owners:
        known.append(processes(one.known.peer_owners))
    return f" ({', '.join(known)})" if known else ""


def _date(one: Persist) -> str:
    return f"{one.known.began:%Y-%m-%d %H:%M:%S}Z"


def _waiting(connection: Connection) -> int:
    return connection.unsent if connection.not_sent is None else connection.not_sent


def processes(owners: tuple[Owner, ...]) -> str:
    """Name up to three processes."""
    named = [owner.title for owner in sorted(owners, key=lambda owner: owner.pid)]
    named = list(dict.fromkeys(named))
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return f"{', '.join(named[:3])}{more}"
