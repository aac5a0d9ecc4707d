"""One request as it is meant, and how long to insist on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kernelhealth_operator.cluster.backoff import Backoff

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

Json = dict[str, Any]
_BACKOFF = Backoff(first=0.25, most=8.0)
Guard = Callable[[], float]
"""Called right before each sending; raises to forbid it, else gives the seconds it may take."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to try, how long for one try, and the longest wait between two (seconds).

    One try only is right for evictions, where 429 is a disruption budget's answer and no hurry.
    """

    attempts: int = 4
    timeout: float = 30.0
    longest_wait: float = 30.0
    backoff: Backoff = _BACKOFF


@dataclass(frozen=True, slots=True)
class Call:
    """One request, whole; *body* is what goes over the wire."""

    method: str
    path: str
    params: Mapping[str, str]
    body: bytes | None
    content_type: str
    guard: Guard | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def repeatable(self) -> bool:
        """Whether doing it twice is the same as doing it once."""
        return self.method != "POST" and self.content_type != JSON_PATCH
