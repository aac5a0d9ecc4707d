"""What to watch, how patiently, and what is counted meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic

from kernelhealth_operator.cluster.backoff import Backoff
from kernelhealth_operator.cluster.envelope import M
from kernelhealth_operator.cluster.holdings import V

_BACKOFF = Backoff()


@dataclass(frozen=True, slots=True)
class Kind(Generic[M, V]):
    """What is watched: ``/api/v1/nodes`` as *model*, of which *keep* makes the value to hold.

    *selectors* are further parameters of list and watch, such as labelSelector.
    """

    path: str
    model: type[M]
    keep: Callable[[M], V]
    selectors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Seconds, but for *chunk* (objects in a page).

    The server ends a watch after *shortest* to *longest*, so that watches of many replicas do not
    end together. It sends a bookmark each minute or so: *silence* is longer than that.
    """

    chunk: int = 500
    silence: float = 120.0
    shortest: float = 240.0
    longest: float = 300.0
    backoff: Backoff = _BACKOFF


@dataclass(slots=True)
class WatchCounters:
    """What happened since the start, for metrics."""

    lists: int = 0
    watches: int = 0
    events: int = 0
    bookmarks: int = 0
    expired: int = 0
    failures: int = 0
