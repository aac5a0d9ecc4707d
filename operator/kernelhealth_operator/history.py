"""Which ended NodeRemediations are no longer kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kernelhealth_operator.policy.situation import Treatment

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Retention:
    """At most *limit* per node, and none older than *ttl* since its end."""

    limit: int
    ttl: timedelta

    def expired(
        self, ended: Sequence[Treatment], now: datetime, cool_down: timedelta
    ) -> tuple[Treatment, ...]:
        """Those of one node's *ended* treatments (newest first) that are to be deleted.

        None within its *cool_down*: it is what keeps a person's no in memory.
        """
        return tuple(
            one
            for place, one in enumerate(ended)
            if now >= _end(one) + cool_down and (place >= self.limit or now >= _end(one) + self.ttl)
        )

    def due(self, ended: Sequence[Treatment], cool_down: timedelta) -> datetime:
        """When the next of them will be."""
        lives = (_end(one) + max(self.ttl, cool_down) for one in ended)
        return min(lives, default=_NEVER)


def _end(one: Treatment) -> datetime:
    return one.status.finished_at or one.created
