"""TCP connections that cannot send: the kernel ignores the peer's window, or the peer is slow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pydantic import Field

from kernelhealth_agent.kernel import occupants, stall_wording
from kernelhealth_agent.kernel.persist import RULES, Persist, Rules, Sample
from kernelhealth_api.detector import (
    Detector,
    Measure,
    Observation,
    Params,
    Reason,
    Severity,
    Signal,
    Subject,
)
from kernelhealth_api.duration import Duration

_CAUSE = "StaleSndWl1"


class TcpPersistParams(Params):
    """From when on a connection that waits for its peer's window is a finding.

    ``snd_wl1`` is read of connections that these numbers make suspects, or the defaults where they
    are smaller: the program that owns one is kept still for the microseconds that it takes.
    """

    stalled_after: Duration = Field(
        timedelta(seconds=RULES.stalled),
        description="How long a connection must have had data to send and nothing acknowledged.",
    )
    min_backoff: int = Field(
        RULES.backoff,
        ge=0,
        description="How often the time between two probes of the closed window must have doubled:"
        " it starts anew when the window opens.",
    )
    max_probes: int = Field(
        RULES.probes,
        ge=0,
        description="Probes without an answer at the most; with more the peer is gone, not slow.",
    )
    received_bytes: int = Field(
        RULES.received,
        ge=0,
        description="Bytes that must have been received since data was acknowledged last; below"
        " 2^31 the kernel's fault cannot come about.",
    )
    peer_empty_for: Duration = Field(
        timedelta(seconds=RULES.peer_empty),
        description="How long the receive queue of a peer on this node must have been empty for the"
        " kernel to be at fault: a lost window update is made good by the next probe, after two"
        " minutes at the most.",
    )

    @property
    def rules(self) -> Rules:
        """The parameters as the rules of the kernel module."""
        return Rules(
            stalled=self.stalled_after.total_seconds(),
            backoff=self.min_backoff,
            probes=self.max_probes,
            received=self.received_bytes,
            peer_empty=self.peer_empty_for.total_seconds(),
        )


STUCK = Reason(
    "ConnectionStuckInPersist",
    Severity.WARNING,
    "The kernel ignores every window that the peer of a TCP connection announces: nothing is sent"
    " on it any more, and both programs wait for ever.",
)
SLOW = Reason(
    "SlowReader",
    Severity.INFO,
    "A TCP connection has waited long for room at its peer, which answers; it is the peer's program"
    " that does not read, as far as this node can tell.",
)


def judge(sample: Sample, params: TcpPersistParams) -> Iterator[Observation]:
    """Yield one observation for each connection that stalls."""
    rules = params.rules
    for one in sample.persists:
        if one.is_stuck(rules, sample.uptime):
            yield _observation(
                STUCK,
                one,
                stall_wording.stuck(one),
                cause=_CAUSE,
                cures=("RepairSocket", "DestroySocket"),
            )
        elif one.is_stalled(rules, sample.uptime):
            message = stall_wording.slow(one, rules, sample.uptime)
            yield _observation(SLOW, one, message)


def _observation(
    reason: Reason,
    one: Persist,
    message: str,
    cause: str | None = None,
    cures: tuple[str, ...] = (),
) -> Observation:
    now = one.connection
    return Observation(
        reason,
        one.key,
        _subject(one),
        message,
        cause=cause,
        cures=cures,
        began=one.known.began,
        aim=_aim(one),
        measure=Measure(float(now.unsent if now.not_sent is None else now.not_sent)),
    )


def _aim(one: Persist) -> dict[str, str | int]:
    """Return what a cure has to know of a socket; nothing where the kernel does not tell it."""
    now = one.connection
    if not now.cookie or now.acked is None:
        return {}
    aim: dict[str, str | int] = {
        "local": now.local,
        "localPort": now.local_port,
        "peer": now.peer,
        "peerPort": now.peer_port,
        "cookie": now.cookie,
        "acked": now.acked,
    }
    if one.known.peer_inode is not None:
        aim["peerNamespace"] = one.known.peer_inode
    return aim


def _subject(one: Persist) -> Subject:
    """Return the own end as the subject; *addresses* are both ends, the own one first."""
    now = one.connection
    subject = occupants.subject(
        one.space,
        process=stall_wording.processes(one.known.owners) or None,
        holder=f"socket {now.identity}" if now.cookie else None,
    )
    return subject.model_copy(update={"addresses": (now.here, now.there)})


def _stuck(sample: Sample) -> dict[tuple[str, ...], float]:
    return {(): float(sum(one.is_stuck(RULES, sample.uptime) for one in sample.persists))}


def _suspects(sample: Sample) -> dict[tuple[str, ...], float]:
    return {(): float(sum(one.is_suspect(RULES, sample.uptime) for one in sample.persists))}


DETECTOR = Detector(
    name="tcp_persist",
    condition="TCPConnectionsHealthy",
    summary="TCP connections whose window never opens again, told apart from slow readers",
    sample=Sample,
    params=TcpPersistParams,
    reasons=(STUCK, SLOW),
    judge=judge,
    signals=(
        Signal(
            "tcp_persist_connections",
            "TCP connections that probe the closed window of their peer, in all namespaces.",
            lambda sample: {(): float(len(sample.persists))},
        ),
        Signal(
            "tcp_persist_suspects",
            "Those of them that have waited long and received 2^31 bytes or more meanwhile.",
            _suspects,
        ),
        Signal(
            "tcp_persist_stuck",
            "Those of them of which it is proven that the kernel ignores the peer's window.",
            _stuck,
        ),
        Signal(
            "tcp_persist_listed_namespaces",
            "Network namespaces whose connections were listed, as one of them probed a window.",
            lambda sample: {(): float(sample.listed)},
        ),
    ),
)
