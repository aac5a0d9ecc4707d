"""Connections whose peer has closed its window, and when the own kernel is to blame for that.

The persist timer probes a closed window for ever. A peer whose program does not read looks the same
from this end as a kernel that ignores every window its peer announces (``kernel/send_window.py``);
what inet_diag tells makes a suspect only. A verdict takes ``snd_wl1`` itself, or the peer's receive
queue where the peer is on this node: a peer that has read everything and is still taken to have no
room has announced room in vain.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kernelhealth_agent.kernel.inet_diag import Connection
from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.kernel.send_window import Refusal, SendWindow
from kernelhealth_agent.kernel.socket_owners import Owner
from kernelhealth_agent.moments import Moment

LONGEST_PROBE = 120.0
"""Seconds between two probes of a closed window at the most (TCP_RTO_MAX)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """From when on a connection is worth a word.

    *stalled*: seconds without data acknowledged; *backoff*: how often the time between two probes
    doubled; *probes* without an answer at the most; *received*: bytes that came in meanwhile,
    below which the window cannot be stale; *peer_empty*: seconds for which the peer's receive
    queue must have been empty; *again*: seconds until what costs more is asked once more.
    """

    stalled: float = 900.0
    backoff: int = 9
    probes: int = 1
    received: int = 1 << 31
    peer_empty: float = 2 * LONGEST_PROBE
    again: float = 1800.0

    def or_sooner(self, other: Rules) -> Rules:
        """Return rules by which a connection is worth a word as soon as by either."""
        return Rules(
            stalled=min(self.stalled, other.stalled),
            backoff=min(self.backoff, other.backoff),
            probes=max(self.probes, other.probes),
            received=min(self.received, other.received),
            peer_empty=min(self.peer_empty, other.peer_empty),
            again=min(self.again, other.again),
        )


RULES = Rules()


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of one connection in persist, by inode of its namespace and identity.

    *acked*, *received*: its counters at the last look. *received_before*: what it had received
    when *acked* moved last, or less. *began*, *since*: when that was, by the wall clock and as
    uptime. *asked*: uptime when owners, peer and window were asked for; *peer_inode* is the peer's
    namespace on this node, *empty_since* the uptime since which its receive queue is empty.
    """

    acked: int | None
    received: int | None
    received_before: int
    began: datetime
    since: float
    asked: float | None = None
    owners: tuple[Owner, ...] = ()
    window: SendWindow | Refusal | None = None
    peer_inode: int | None = None
    peer_owners: tuple[Owner, ...] = ()
    empty_since: float | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What the next look has to know: probes sent by inode of the namespace, and connections."""

    probes: dict[str, int] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Persist:
    """A connection in persist now, with all that is known of both ends.

    *peer*: the other end of it where it is on this node too, *peer_space* the namespace there that
    has its address.
    """

    space: Namespace
    connection: Connection
    known: Known
    peer: Connection | None = None
    peer_space: Namespace | None = None

    @property
    def key(self) -> str:
        """Its identity on this node."""
        return f"{self.space.inode}/{self.connection.identity}"

    @property
    def received(self) -> int | None:
        """Bytes received since data was acknowledged last, at the most; None where not told."""
        if self.connection.received is None:
            return None
        return max(0, self.connection.received - self.known.received_before)

    def is_stalled(self, rules: Rules, uptime: float) -> bool:
        """Whether it has had something to send for long, to a peer that answers its probes.

        A kernel that does not tell one of the numbers does not speak against it.
        """
        now = self.connection
        waiting = now.unsent if now.not_sent is None else now.not_sent
        return (
            uptime - self.known.since >= rules.stalled
            and (now.backoff is None or now.backoff >= rules.backoff)
            and (now.probes or 0) <= rules.probes
            and not now.unacked
            and waiting > 0
        )

    def is_suspect(self, rules: Rules, uptime: float) -> bool:
        """Whether the window can be stale: enough came in while nothing went out."""
        enough = self.received is None or self.received >= rules.received
        return enough and self.is_stalled(rules, uptime)

    def is_stuck(self, rules: Rules, uptime: float) -> bool:
        """Whether it is proven that the kernel ignores the windows its peer announces.

        What the own end says outweighs what the peer's seems to say.
        """
        if not self.is_suspect(rules, uptime):
            return False
        window = self.known.window
        if isinstance(window, SendWindow):
            return window.stale
        since = self.known.empty_since
        return since is not None and uptime - since >= rules.peer_empty


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look saw: the connections in persist, oldest first, at that *uptime*.

    *listed* counts the namespaces whose connections were listed, of *spaces* in all. *blind*: what
    could not be looked at, a sentence each.
    """

    uptime: float
    persists: tuple[Persist, ...]
    memory: Memory
    spaces: int
    listed: int
    blind: tuple[str, ...] = ()


def remembered(now: Connection, past: Known | None, moment: Moment) -> Known:
    """Return what is known of a connection after a look: since when nothing went out.

    ``tcpi_last_data_sent`` dates it, since nothing can be acknowledged that was not sent. What was
    received by then is not known the first time: nothing is assumed to have been, so that the
    bytes received since are never too few.
    """
    if past is not None and past.acked == now.acked:
        return replace(past, received=now.received)
    ago = now.last_sent or 0.0
    began = (moment.wall - timedelta(seconds=ago)).replace(microsecond=0)
    before = 0 if past is None else past.received or 0
    return Known(now.acked, now.received, before, began, moment.uptime - ago)
