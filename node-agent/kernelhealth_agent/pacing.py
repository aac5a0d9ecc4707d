"""When the next round is due. Pure: uptimes and processor time in seconds go in and come out.

Three things ask for a round: the period, what the kernel tells, and a suspicion that can be
confirmed. The last two never take more of the machine than a small share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_QUIET = 0.5
_PATIENCE = 2.0
_REST = 1.0
SHARE = 0.008
"""Of one processor, unless an administrator chose another."""
_MOST_SAVED = 1.0
_IDLE_PART = 0.5
_LONGEST_PERIOD = 240.0


@dataclass(frozen=True, slots=True)
class Purse:
    """Processor time that the agent may use: a *share* of a processor, saved up to one second.

    *left* is what was there at the uptime *at*; it is negative after a round that cost more. By
    0.8 % no more than 5.8 s can be spent in ten minutes, which is less than 1 % of a processor.
    """

    at: float
    left: float = _MOST_SAVED
    share: float = SHARE

    def spent(self, seconds: float, now: float) -> Purse:
        """Return the purse after *seconds* of processor time were used until *now*."""
        saved = min(_MOST_SAVED, self.left + self.share * (now - self.at))
        return replace(self, at=now, left=saved - seconds)

    def is_ample(self, now: float) -> bool:
        """Whether there is enough for a round that looks at everything."""
        return self.spent(0.0, now).left >= _MOST_SAVED / 2

    @property
    def open(self) -> float:
        """The uptime from which on there is something in it."""
        return self.at + max(0.0, -self.left) / self.share


@dataclass(frozen=True, slots=True)
class Pace:
    """What decides about the next round; *None* for what does not ask for one.

    *started* is when the last round began that looked at everything, *ended* when the last of any
    kind was over. *first_event* and *last_event* are of those that no round has seen yet, *due* is
    when a suspicion can be confirmed.
    """

    period: float
    started: float
    ended: float
    purse: Purse
    first_event: float | None = None
    last_event: float | None = None
    due: float | None = None

    def told(self, now: float) -> Pace:
        """Return the pace after the kernel told something."""
        first = now if self.first_event is None else self.first_event
        return replace(self, first_event=first, last_event=now)

    @property
    def next(self) -> float:
        """The uptime at which the next round is due."""
        return min(time for time, _ in self._wanted())

    @property
    def trigger(self) -> str:
        """What the next round is for: period, event or confirmation."""
        return min(self._wanted())[1]

    @property
    def settled(self) -> float:
        """The uptime until which it makes no difference what else the kernel tells."""
        return self.ended if self.first_event is None else self._rested - _QUIET

    @property
    def _rested(self) -> float:
        return max(self.ended + _REST, self.purse.open)

    def _wanted(self) -> list[tuple[float, str]]:
        """Return the times at which a round is wanted, and why.

        After events there is a moment's quiet first, since one pod makes dozens of them, but no
        longer than 2 s. No round follows another within a second, nor, unless the period asks
        for it, while more processor time was used than the agent's share.
        """
        wanted = [(self.started + self.period, "period")]
        if self.first_event is not None and self.last_event is not None:
            quiet = min(self.last_event + _QUIET, self.first_event + _PATIENCE)
            wanted.append((max(self._rested, quiet), "event"))
        if self.due is not None:
            wanted.append((max(self._rested, self.due), "confirmation"))
        return wanted


def affordable(period: float, cpu_seconds: float, share: float = SHARE) -> float:
    """Return the period in seconds, longer where rounds that find nothing would cost too much.

    A node with tens of thousands of processes makes a round dear: those that only time asks for
    shall not take more than half of the agent's *share* of a processor, but are never further apart
    than 4 minutes, in which the liveness probe still believes in the agent.
    """
    return max(period, min(_LONGEST_PERIOD, cpu_seconds / (_IDLE_PART * share)))
