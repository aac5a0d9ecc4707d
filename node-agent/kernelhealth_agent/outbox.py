"""When which report is sent. Holds the newest report only; time and chance are arguments.

A report is sent when something in it changed that matters, else now and then, so that the operator
knows the agent to be alive. Ten thousand agents do so at different times.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from kernelhealth_api.v1alpha1.nodekernelhealth import Health, NodeKernelHealthStatus

_BOUNDS = (1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500, 1000)
_BACKOFF, _LONGEST_BACKOFF, _LEAST_BACKOFF = 1.0, 60.0, 0.2
_NUMBERS = re.compile(r"[0-9]+(\.[0-9]+)?")

Chance = Callable[[], float]
"""Returns a number from 0 to 1 by chance."""


@dataclass(slots=True)
class Bucket:
    """A ration: *burst* at once, one more every *seconds*."""

    burst: int
    seconds: float
    tokens: float
    filled: float = 0.0

    def ready(self, now: float) -> float:
        """Return when one may be taken."""
        self._fill(now)
        return now + max(0.0, 1.0 - self.tokens) * self.seconds

    def take(self, now: float) -> None:
        """Take one."""
        self._fill(now)
        # What had to be sent in any case is no debt: the next one waits for its own time only.
        self.tokens = max(0.0, self.tokens - 1.0)

    def _fill(self, now: float) -> None:
        gained = (now - self.filled) / self.seconds
        self.tokens, self.filled = min(float(self.burst), self.tokens + gained), now


def meaning(status: NodeKernelHealthStatus) -> tuple[object, ...]:
    """Return what of a status is worth a write when it changes; numbers count by their size."""
    conditions = tuple(
        (
            condition.type,
            condition.status,
            condition.reason if condition.status != "True" else "",
            _NUMBERS.sub("#", condition.message) if condition.status == "Unknown" else "",
        )
        for condition in status.conditions
    )
    findings = tuple(
        (f.reason, f.severity, f.cause, f.subject.pod, f.subject.namespace, f.cures, size(f.count))
        for f in status.findings
    )
    about = (status.boot_id, status.kernel_release, status.agent_version, status.policy)
    return (status.health, conditions, findings, status.truncated, about, status.request)


def suspicion(status: NodeKernelHealthStatus) -> tuple[object, ...]:
    """Return what of a status is worth a write now and then: suspicions pass with every pod."""
    suspected = {c.type for c in status.conditions if c.reason == "Suspected"}
    return (size(status.suspected), frozenset(suspected))


def size(number: int) -> int:
    """Return the class of a number: 0, 1, 2, 3, 4, 5-9, 10-19, 20-49 and so on."""
    return sum(number >= bound for bound in _BOUNDS)


class Outbox:
    """The newest report, and when it is to be sent; seconds of a clock that nobody sets."""

    def __init__(self, refresh: float, spread: float, chance: Chance) -> None:
        self.report: NodeKernelHealthStatus | None = None
        self._refresh, self._spread, self._chance = refresh, spread, chance
        self._sent: NodeKernelHealthStatus | None = None
        self._due = 0.0
        self._not_before = 0.0
        self._failures = 0
        self._changes = Bucket(burst=10, seconds=5.0, tokens=10.0)
        self._suspicions = Bucket(burst=4, seconds=300.0, tokens=4.0)

    def offer(self, report: NodeKernelHealthStatus, now: float) -> None:
        """Put a report in the place of the one before."""
        if self.report is None:
            self._due = now + self._spread * self._chance()
        self.report = report

    def disowned(self, now: float) -> None:
        """Send again at once: the server has something else than was sent."""
        self._due = min(self._due, now)
        self._not_before = min(self._not_before, now)

    def due(self, now: float) -> float | None:
        """Return when the report is to be sent; None while there is none."""
        if self.report is None:
            return None
        return max(self._not_before, min(self._due, self._wanted(self.report, now)))

    def unsent(self) -> bool:
        """Whether something that matters was not sent yet."""
        if self.report is None:
            return False
        return self._sent is None or meaning(self._sent) != meaning(self.report)

    def _wanted(self, report: NodeKernelHealthStatus, now: float) -> float:
        if self._sent is None:
            return now if report.health in {Health.CRITICAL, Health.WARNING} else self._due
        if meaning(self._sent) != meaning(report):
            return self._changes.ready(now)
        if suspicion(self._sent) != suspicion(report):
            return max(self._suspicions.ready(now), self._changes.ready(now))
        return self._due

    def sent(self, report: NodeKernelHealthStatus, now: float) -> None:
        """Take note that the server has *report*."""
        before, self._sent, self._failures = self._sent, report, 0
        self._changes.take(now)
        if before and meaning(before) == meaning(report) and suspicion(before) != suspicion(report):
            self._suspicions.take(now)
        # The first time is anywhere within the period, so that agents that started together
        # part; then a little early each time, and never late.
        share = 0.8 + 0.2 * self._chance() if before else self._chance()
        self._due = now + self._refresh * share
        self._not_before = now

    def failed(self, now: float, retry_after: float | None = None) -> None:
        """Take note that nothing arrived; the pauses grow, and the server's wish is respected."""
        pause = self._chance() * min(_LONGEST_BACKOFF, _BACKOFF * 2.0 ** min(self._failures, 16))
        self._failures += 1
        self._not_before = now + max(_LEAST_BACKOFF, pause) + (retry_after or 0.0)
        # Whatever was there before the outage: the newest state goes out after it.
        self._due = min(self._due, now)
