"""The values of a round: what was known before, what each detector saw, or why it saw nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel.namespaces import Inventory, Remembered
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.thresholds import AnyDetector, Thresholds
from kernelhealth_api.detector import Observation

Values = Mapping[str, Mapping[tuple[str, ...], float]]
"""The values of signals, by the name of the signal and the values of its labels."""

Survey = Callable[[Host, Moment, Mapping[int, Remembered]], Inventory]
"""Takes the inventory of a host; raises ``HostError``."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a detector could not speak: a word for the condition, and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Past:
    """What is known when a round begins.

    *memories* are of sources, by name; *due* names the detectors with something to confirm now,
    whose samples may not be old ones.
    """

    namespaces: Mapping[int, Remembered] = field(default_factory=dict)
    memories: Mapping[str, Any] = field(default_factory=dict)
    due: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Look:
    """What one detector saw, or why it saw nothing.

    *fresh* is False where the sample is of an earlier round and still good; *memory* is what the
    source wants to be remembered.
    """

    detector: AnyDetector
    thresholds: Thresholds
    observations: tuple[Observation, ...] = ()
    signals: Values = field(default_factory=dict)
    failure: Failure | None = None
    seconds: float = 0.0
    blind: tuple[str, ...] = ()
    capacities: Mapping[str, float] = field(default_factory=dict)
    memory: Any = None
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class Round:
    """All looks of one round; *cpu_seconds* is what the whole process used meanwhile."""

    moment: Moment
    inventory: Inventory | None
    looks: tuple[Look, ...]
    seconds: float
    cpu_seconds: float
