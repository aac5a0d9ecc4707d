"""Events on Nodes, as ``kubectl describe node`` shows them: one per transition, never per round."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from kernelhealth_api.v1alpha1.nodekernelhealth import OPERATOR
from kernelhealth_operator.cluster.errors import ApiError
from kernelhealth_operator.writes import Writes

_LOGGER = logging.getLogger(__name__)
_REMEMBERED = 2048
_SERIES_SECONDS = 3600.0
_NOTE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be said about a Node."""

    node: str
    node_uid: str
    type: Literal["Normal", "Warning"]
    reason: str
    note: str


class TokenBucket:
    """At most *burst* at once, and *per_second* in the long run; *clock* gives seconds."""

    def __init__(self, burst: int, per_second: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._tokens = float(burst)
        self._filled = clock()

    def take(self) -> bool:
        """Whether there was a token left; takes it."""
        now = self._clock()
        gained = (now - self._filled) * self._per_second
        self._tokens = min(float(self._burst), self._tokens + gained)
        self._filled = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


@dataclass(frozen=True, slots=True)
class _Said:
    name: str
    count: int
    at: float


class Announcer:
    """Raises Events; nothing rests on one, so what fails or exceeds the ration is only counted.

    The same notice again within an hour counts up the Event that is there already.
    """

    def __init__(
        self, writes: Writes, instance: str, bucket: TokenBucket, clock: Callable[[], float]
    ) -> None:
        self._writes = writes
        self._instance = instance
        self._bucket = bucket
        self._clock = clock
        self._said: OrderedDict[Notice, _Said] = OrderedDict()
        self.raised = 0
        self.dropped = 0

    async def say(self, notice: Notice, now: datetime) -> None:
        """Raises or counts up one Event; raises ``NotLeader`` only."""
        if not self._bucket.take():
            self.dropped += 1
            return
        before = self._said.get(notice)
        try:
            if before is not None and self._clock() - before.at < _SERIES_SECONDS:
                said = await self._repeat(before, now)
            else:
                said = await self._first(notice, now)
        except ApiError as error:
            self._said.pop(notice, None)
            self.dropped += 1
            _LOGGER.warning("An Event on Node %s was lost: %s", notice.node, error)
            return
        self.raised += 1
        self._said[notice] = said
        self._said.move_to_end(notice)
        while len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)

    async def _first(self, notice: Notice, now: datetime) -> _Said:
        body = event(notice, self._instance, now)
        await self._writes.event(body)
        return _Said(body["metadata"]["name"], 1, self._clock())

    async def _repeat(self, before: _Said, now: datetime) -> _Said:
        series = {"count": before.count + 1, "lastObservedTime": _micro(now)}
        await self._writes.event_series(before.name, series)
        return replace(before, count=before.count + 1)


def event(notice: Notice, instance: str, now: datetime) -> dict[str, Any]:
    """The Event for *notice*, as events.k8s.io/v1 has it.

    It lives in the namespace ``default`` and names the Node with its UID: by that kubectl finds it.
    """
    digest = hashlib.sha256(f"{notice}{instance}{now.isoformat()}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{notice.node[:200]}.{digest}", "namespace": "default"},
        "eventTime": _micro(now),
        "reportingController": f"kernelhealth.io/{OPERATOR}",
        "reportingInstance": instance[:128],
        "action": notice.reason[:128],
        "reason": notice.reason[:128],
        "type": notice.type,
        "note": _shortened(notice.note),
        "regarding": {
            "apiVersion": "v1",
            "kind": "Node",
            "name": notice.node,
            "uid": notice.node_uid,
        },
    }


def _shortened(note: str) -> str:
    # The API server refuses a note of 1024 bytes or more.
    raw = note.encode()
    if len(raw) < _NOTE_BYTES:
        return note
    return raw[: _NOTE_BYTES - 8].decode(errors="ignore") + "…"


def _micro(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
