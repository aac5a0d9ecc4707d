"""Confirms observations over time: what lasts is a finding, what passes by is not.

Pure: the memory of earlier looks goes in and comes out. A look that failed never gets here, so its
memory stays as it was and confirms nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kernelhealth_agent.moments import Moment
from kernelhealth_api.detector import Observation, Params, Reason

MOST = 2048
"""Observations of one detector that are remembered and judged at the most, the oldest first."""
_LONGEST_KEY = 160


@dataclass(frozen=True, slots=True)
class Sighting:
    """When something was first seen, and in how many looks since."""

    first: Moment
    rounds: int


@dataclass(frozen=True, slots=True)
class Watch:
    """What is remembered for one detector: *since* its first successful look, by reason and key.

    *due* is the uptime at which the next suspicion may be confirmed, if there is one.
    """

    since: Moment
    sightings: Mapping[str, Sighting] = field(default_factory=dict)
    due: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """An observation and its history; *due* is the uptime at which it may be confirmed."""

    observation: Observation
    first: Moment
    rounds: int
    due: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one successful look amounts to; *due* is when the next suspicion may be confirmed."""

    confirmed: tuple[Seen, ...]
    suspected: tuple[Seen, ...]
    watch: Watch

    @property
    def due(self) -> float | None:
        """The uptime in seconds at which the next suspicion may be confirmed, if there is one."""
        return self.watch.due


def confirm(
    watch: Watch | None,
    observations: Iterable[Observation],
    params: Params,
    now: Moment,
    *,
    fresh: bool = True,
) -> Verdict:
    """Merge one look's observations with what is remembered of the earlier ones.

    An observation is confirmed at once if its reason says nothing else; or when it was seen in two
    looks or more and is as old as its reason wants. What this look did not see is forgotten.
    Of several with the same reason and key the first counts. A look that is not *fresh* was
    counted before.
    """
    watch = watch or Watch(now)
    every: dict[str, Seen] = {}
    for observation in observations:
        name = identity(observation)
        if name not in every:
            past = watch.sightings.get(name)
            rounds = 1 if past is None else past.rounds + fresh
            every[name] = _seen(observation, past.first if past else now, rounds, params)
    oldest = dict(sorted(every.items(), key=lambda item: item[1].first.uptime)[:MOST])
    confirmed = {name for name, seen in oldest.items() if _is_confirmed(seen, now)}
    sightings = {name: Sighting(seen.first, seen.rounds) for name, seen in oldest.items()}
    suspected = tuple(seen for name, seen in oldest.items() if name not in confirmed)
    due = min((seen.due for seen in suspected), default=None)
    return Verdict(
        confirmed=tuple(seen for name, seen in oldest.items() if name in confirmed),
        suspected=suspected,
        watch=Watch(watch.since, sightings, due),
    )


def identity(observation: Observation) -> str:
    """Return reason and key as one name of bounded length."""
    key = observation.key
    if len(key) > _LONGEST_KEY:
        key = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
    return f"{observation.reason.name}/{key}"


def patience(reason: Reason, params: Params) -> float:
    """Return for how many seconds an observation of that reason must last."""
    if reason.confirm is None:
        return 0.0
    seconds: float = getattr(params, reason.confirm).total_seconds()
    return seconds


def _seen(observation: Observation, first: Moment, rounds: int, params: Params) -> Seen:
    due = first.uptime + patience(observation.reason, params)
    return Seen(observation, first, min(rounds, 1 << 30), due)


def _is_confirmed(seen: Seen, now: Moment) -> bool:
    if seen.observation.reason.confirm is None:
        return True
    return seen.rounds >= 2 and now.uptime >= seen.due
