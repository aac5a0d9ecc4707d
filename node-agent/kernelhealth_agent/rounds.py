"""One round: look at the host once, through every source, and judge what was seen."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel.namespaces import Inventory, Remembered
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.source import Source
from kernelhealth_agent.thresholds import AnyDetector, Thresholds
from kernelhealth_agent.workers import Workers
from kernelhealth_api.detector import Observation

_LOGGER = logging.getLogger(__name__)

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
class Look:
    """What one detector saw in one round, or why it saw nothing."""

    detector: AnyDetector
    thresholds: Thresholds
    observations: tuple[Observation, ...] = ()
    signals: Values = field(default_factory=dict)
    failure: Failure | None = None
    seconds: float = 0.0
    blind: tuple[str, ...] = ()
    capacities: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Round:
    """All looks of one round; *cpu_seconds* is what the whole process used meanwhile."""

    moment: Moment
    inventory: Inventory | None
    looks: tuple[Look, ...]
    seconds: float
    cpu_seconds: float


class Rounds:
    """Makes rounds of one host. Nothing that fails or hangs stops more than its own detector."""

    def __init__(
        self,
        host: Host,
        pairs: Iterable[tuple[Source[Any], AnyDetector]],
        workers: Workers,
        deadline: float,
    ) -> None:
        self.host = host
        self.pairs = tuple(pairs)
        self.workers = workers
        self.deadline = deadline
        self._broken: set[str] = set()

    @property
    def detectors(self) -> tuple[AnyDetector, ...]:
        """The detectors that take part."""
        return tuple(detector for _, detector in self.pairs)

    def look(
        self,
        survey: Survey,
        memory: Mapping[int, Remembered],
        thresholds: Mapping[str, Thresholds],
        moment: Moment,
    ) -> Round:
        """Make one round; takes as long as the deadlines of what hangs, and raises nothing."""
        began, cpu = time.monotonic(), time.process_time()
        inventory, failure = self._survey(survey, memory, moment)
        looks = []
        for source, detector in self.pairs:
            chosen = thresholds[detector.name]
            if inventory is None:
                looks.append(Look(detector, chosen, failure=failure))
            else:
                looks.append(self._examine(source, detector, chosen, inventory))
        return Round(
            moment, inventory, tuple(looks), time.monotonic() - began, time.process_time() - cpu
        )

    def _survey(
        self, survey: Survey, memory: Mapping[int, Remembered], moment: Moment
    ) -> tuple[Inventory | None, Failure | None]:
        name = "the namespace inventory"
        try:
            found = self.workers.call(
                name, lambda: survey(self.host, moment, memory), self.deadline
            )
        except Exception as error:  # noqa: BLE001 - Whatever it is, the next round is made.
            return None, self._failed(name, error)
        self._broken.discard(name)
        return found, None

    def _examine(
        self,
        source: Source[Any],
        detector: AnyDetector,
        thresholds: Thresholds,
        inventory: Inventory,
    ) -> Look:
        def examined() -> Look:
            sample = source.collect(self.host, inventory)
            return Look(
                detector,
                thresholds,
                observations=tuple(detector.judge(sample, thresholds.params)),
                signals={signal.name: dict(signal.values(sample)) for signal in detector.signals},
                blind=tuple(getattr(sample, "blind", ())),
                capacities=detector.capacities(sample),
            )

        began = time.monotonic()
        try:
            seen = self.workers.call(detector.name, examined, self.deadline)
            self._broken.discard(detector.name)
        except Exception as error:  # noqa: BLE001 - One broken detector never stops the others.
            seen = Look(detector, thresholds, failure=self._failed(detector.name, error))
        return dataclasses.replace(seen, seconds=time.monotonic() - began)

    def _failed(self, name: str, error: Exception) -> Failure:
        """Return the failure that an error means; one that nobody foresaw is logged once."""
        match error:
            case errors.AbsentError():
                return Failure("NotAvailable", str(error))
            case errors.ForbiddenError():
                return Failure("Forbidden", str(error))
            case errors.HungError():
                return Failure("TimedOut", str(error))
            case errors.HostError():
                return Failure("ReadFailed", str(error))
        if name not in self._broken:
            self._broken.add(name)
            _LOGGER.error(
                "Detector failed by a defect of its own: detector=%s", name, exc_info=error
            )
        what = f"{type(error).__name__}: {error}"[:200]
        return Failure("InternalError", f"{name} has a defect, please report it: {what}")


def paired(
    sources: Iterable[Source[Any]], detectors: Iterable[AnyDetector]
) -> tuple[tuple[Source[Any], AnyDetector], ...]:
    """Return each detector with the source of its sample; ``TypeError`` where there is none."""
    makers = {source.sample: source for source in sources}
    pairs = []
    for detector in detectors:
        if detector.sample not in makers:
            raise TypeError(f"no source makes the {detector.sample.__name__} of {detector.name}")
        pairs.append((makers[detector.sample], detector))
    return tuple(pairs)
