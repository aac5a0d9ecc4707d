"""Ended NodeRemediations: kept as history, and deleted when their time is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from kernelhealth_operator.cluster.errors import Conflict, NotFound
from kernelhealth_operator.fleet import Fleet
from kernelhealth_operator.history import Retention
from kernelhealth_operator.policy.situation import Treatment
from kernelhealth_operator.writes import Writes


@dataclass(frozen=True, slots=True)
class Archive:
    """The history of each node, within the bounds of *retention*."""

    fleet: Fleet
    writes: Writes
    retention: Retention

    async def clean(self, name: str, now: datetime) -> None:
        """Deletes what is no longer kept of the node; raises ``ApiError`` and ``NotLeader``."""
        for one in self.retention.expired(self._ended(name), now, self._cool_down(name)):
            try:
                await self.writes.delete_remediation(one.name, one.resource_version)
            except (Conflict, NotFound):
                continue  # Somebody else was there; the watch tells what became of it.
            self.fleet.drop_treatment(one)

    def due(self, name: str) -> datetime:
        """When there will be something to delete."""
        return self.retention.due(self._ended(name), self._cool_down(name))

    def _ended(self, name: str) -> tuple[Treatment, ...]:
        return tuple(one for one in self.fleet.treatments_of(name) if one.status.phase.final)

    def _cool_down(self, name: str) -> timedelta:
        standing = self.fleet.standing(name)
        policy = None if standing is None else self.fleet.policies.get(standing.policy or "")
        return timedelta(0) if policy is None else policy.spec.recovery.cool_down
