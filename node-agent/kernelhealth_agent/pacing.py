"""When the next round is due. Pure: uptimes in seconds go in and come out.

Three things ask for a round: the period, what the kernel tells, and a suspicion that can be
confirmed. The last two never take more of the machine than a small share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_QUIET = 0.5
_PATIENCE = 2.0
_REST = 1.0
_CPU_SHARE = 20.0


@dataclass(frozen=True, slots=True)
class Pace:
    """What decides about the next round; *None* for what does not ask for one.

    *first_event* and *last_event* are of those that no round has seen yet, *due* is when a
    suspicion can be confirmed.
    """

    period: float
    started: float
    ended: float
    cpu_seconds: float = 0.0
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

    def _wanted(self) -> list[tuple[float, str]]:
        """Return the times at which a round is wanted, and why.

        After events there is a moment's quiet first, since one pod makes dozens of them, but no
        longer than 2 s. No round follows another within a second, nor, unless the period asks
        for it, before 20 times the processor time that the last one took.
        """
        rested = self.ended + max(_REST, _CPU_SHARE * self.cpu_seconds)
        wanted = [(self.started + self.period, "period")]
        if self.first_event is not None and self.last_event is not None:
            quiet = min(self.last_event + _QUIET, self.first_event + _PATIENCE)
            wanted.append((max(rested, quiet), "event"))
        if self.due is not None:
            wanted.append((max(rested, self.due), "confirmation"))
        return wanted
