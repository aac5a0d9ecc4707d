"""The Lease as an election sees it, and the writes of an election.

Source: coordination.k8s.io/v1 (staging/src/k8s.io/api/coordination/v1/types.go); the meaning of
the fields as in client-go's tools/leaderelection.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from kernelhealth_operator.cluster import errors
from kernelhealth_operator.cluster.call import MERGE_PATCH, Patience
from kernelhealth_operator.cluster.envelope import NarrowObject
from kernelhealth_operator.cluster.session import ApiSession


class _Spec(BaseModel):
    holder: str | None = Field(None, alias="holderIdentity")
    duration: int | None = Field(None, alias="leaseDurationSeconds")
    transitions: int | None = Field(None, alias="leaseTransitions")


class Lease(NarrowObject):
    """A Lease as read; times in it are other machines' and are not looked at."""

    spec: _Spec = _Spec()

    @property
    def holder(self) -> str:
        """Who holds it, empty when it was given back."""
        return self.spec.holder or ""

    @property
    def version(self) -> str:
        """The resourceVersion."""
        return self.metadata.resource_version


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Seconds: how long others wait, when the holder stops, and how often it renews.

    Others wait *duration* after the last renewal that they saw; the holder stops acting
    *renew_deadline* after it sent its last good one. Between the two lies the time for writes that
    are on their way.
    """

    duration: int = 15
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < 1.2 * self.retry_period < self.renew_deadline < self.duration:
            raise ValueError(
                f"The lease's times do not fit: retry period {self.retry_period:g} s and a fifth "
                f"< renew deadline {self.renew_deadline:g} s < duration {self.duration} s must be."
            )


@dataclass(frozen=True, slots=True)
class LeaseLock:
    """Reads and writes one Lease in the name of one candidate; every call may raise ApiError.

    Writes carry the resourceVersion that was read, so of two candidates one gets Conflict.
    """

    session: ApiSession
    namespace: str
    name: str
    identity: str
    timing: LeaseTiming

    async def read(self) -> Lease | None:
        """The Lease, None where there is none."""
        try:
            body = await self.session.read(self._path(self.name), patience=self._once())
        except errors.NotFound:
            return None
        return Lease.model_validate_json(body)

    async def create(self) -> Lease:
        """Makes the Lease, held by this candidate; Conflict when another was faster."""
        now = _micro_time()
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name},
            "spec": {**self._hold(now), "acquireTime": now, "leaseTransitions": 0},
        }
        answer = await self.session.request("POST", self._path(), body=body, patience=self._once())
        return Lease.model_validate(answer)

    async def take(self, lease: Lease) -> Lease:
        """Renews the Lease as this candidate's, or takes over what *lease* says was another's."""
        now = _micro_time()
        spec = self._hold(now)
        if lease.holder != self.identity:
            spec |= {"acquireTime": now, "leaseTransitions": (lease.spec.transitions or 0) + 1}
        return await self._patch(lease, spec)

    async def give_back(self, lease: Lease) -> None:
        """Leaves the Lease without holder, so that the next candidate need not wait."""
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time()}
        await self._patch(lease, spec)

    async def _patch(self, lease: Lease, spec: dict[str, Any]) -> Lease:
        version = {"resourceVersion": lease.version}
        answer = await self.session.request(
            "PATCH",
            self._path(self.name),
            body={"metadata": version, "spec": spec},
            content_type=MERGE_PATCH,
            patience=self._once(),
        )
        return Lease.model_validate(answer)

    def _hold(self, now: str) -> dict[str, Any]:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self.timing.duration,
            "renewTime": now,
        }

    def _once(self) -> Patience:
        return Patience(attempts=1, timeout=self.timing.renew_deadline / 2)

    def _path(self, name: str = "") -> str:
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"
        return f"{leases}/{name}" if name else leases


def _micro_time() -> str:
    # metav1.MicroTime wants exactly six digits. For people only: no decision reads it.
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
