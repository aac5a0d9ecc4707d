"""What it means to be a detector.

A detector turns one sample into *observations*: one per subject in trouble, as one look saw it.
The agent confirms observations over time and folds them into the findings of the report, so
that no detector keeps state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from kernelhealth_api.v1alpha1.finding import Severity, Subject

__all__ = [
    "Detector",
    "Measure",
    "Observation",
    "Params",
    "Reason",
    "Severity",
    "Signal",
    "Subject",
]


@dataclass(frozen=True, slots=True)
class Reason:
    """One way in which a node can be found unhealthy.

    *confirm*, *critical* and *forecast* name fields of the detector's parameters: the time for
    which an observation must last before it is a finding (absent: at once), the number of
    subjects from which on the finding is Critical (absent: the count alone never makes it so), and
    how long before the node runs out it is Critical (absent: no forecast does).
    """

    name: str
    severity: Severity
    meaning: str
    confirm: str | None = None
    critical: str | None = None
    forecast: str | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that a detector judged, where it is not the count of subjects.

    *per_hour* is how fast it grows. *exhaustion* is when the node runs out should it go on like
    this, most likely; *earliest* and *latest* are the ends of the band of confidence around it.
    """

    value: float
    threshold: float | None = None
    per_hour: float | None = None
    exhaustion: datetime | None = None
    earliest: datetime | None = None
    latest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """One subject in trouble, as one look saw it.

    *key* is the subject's identity across rounds, unique within the reason. *severity* replaces the
    reason's where the evidence weighs more or less than usual. *began* is known where the kernel
    or a file dates the trouble; else it began when it was first seen. *measure* is the number that
    was judged, where there is one. *aim* is what a cure has to know beside the subject to do it to
    this one and nothing else: a cookie, an index. It never leaves the node.
    """

    reason: Reason
    key: str
    subject: Subject
    message: str
    cause: str | None = None
    cures: tuple[str, ...] = ()
    severity: Severity | None = None
    began: datetime | None = None
    measure: Measure | None = None
    aim: Mapping[str, str | int] = field(default_factory=dict)


class Params(BaseModel):
    """The thresholds of one detector; subclasses add fields with defaults and descriptions."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )


S = TypeVar("S")
P = TypeVar("P", bound=Params)


@dataclass(frozen=True, slots=True)
class Signal(Generic[S]):
    """Numbers from a sample that are worth a time series: one value per set of labels."""

    name: str
    help: str
    values: Callable[[S], Mapping[tuple[str, ...], float]]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Detector(Generic[S, P]):
    """One condition of the kernel, from the sample it needs to what it can find.

    *capacities* says of a sample how many subjects of a reason the node can bear in all, by the
    name of the reason, where that is known: with it a growing number is forecast.
    """

    name: str
    condition: str
    summary: str
    sample: type[S]
    params: type[P]
    reasons: tuple[Reason, ...]
    judge: Callable[[S, P], Iterable[Observation]]
    signals: tuple[Signal[S], ...] = field(default=())
    capacities: Callable[[S], Mapping[str, float]] = field(default=lambda _: {})

    @property
    def key(self) -> str:
        """The name as the custom resources spell it: ``networkNamespaces``."""
        return to_camel(self.name)
