"""One round: look at the host once, through every source, and judge what was seen."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel.namespaces import Inventory, Remembered
from kernelhealth_agent.looks import Failure, Look, Past, Round, Survey
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.source import Occasion, Source
from kernelhealth_agent.thresholds import AnyDetector, Thresholds
from kernelhealth_agent.workers import Workers

_LOGGER = logging.getLogger(__name__)


class Rounds:
    """Makes rounds of one host. Nothing that fails or hangs stops more than its own detector.

    *notice* is told what is looked at next, for people who wait. The periods of sources are meant
    for a round each minute: *haste* is what part of a minute lies between rounds that come faster.
    """

    def __init__(
        self,
        host: Host,
        pairs: Iterable[tuple[Source[Any, Any], AnyDetector]],
        workers: Workers,
        deadline: float,
    ) -> None:
        self.host = host
        self.pairs = tuple(pairs)
        self.workers = workers
        self.deadline = deadline
        self.notice: Callable[[str], None] = _unheard
        self.haste = 1.0
        self._broken: set[str] = set()
        self._last: dict[str, tuple[float, Look]] = {}

    @property
    def detectors(self) -> tuple[AnyDetector, ...]:
        """The detectors that take part."""
        return tuple(detector for _, detector in self.pairs)

    def look(
        self, survey: Survey, past: Past, thresholds: Mapping[str, Thresholds], moment: Moment
    ) -> Round:
        """Make one round; takes as long as the deadlines of what hangs, and raises nothing."""
        began, cpu = time.monotonic(), time.process_time()
        inventory, failure = self._survey(survey, past.namespaces, moment)
        looks, others = [], self._memories(past)
        for source, detector in self.pairs:
            chosen = thresholds[detector.name]
            if inventory is None:
                looks.append(Look(detector, chosen, failure=failure))
                continue
            look = self._still_good(source, detector, chosen, past, moment)
            if look is None:
                self.notice(detector.name)
                memory = others[source.name]
                occasion = Occasion(inventory, moment, memory, chosen.params, others)
                look = self._examine(source, detector, chosen, occasion)
                self._last[detector.name] = (moment.uptime, look)
            looks.append(look)
        return Round(
            moment, inventory, tuple(looks), time.monotonic() - began, time.process_time() - cpu
        )

    def _memories(self, past: Past) -> dict[str, Any]:
        """Return what each source has wanted to be remembered, by its name."""
        return {
            source.name: source.recalled(past.memories.get(source.name)) for source, _ in self.pairs
        }

    def _still_good(
        self,
        source: Source[Any, Any],
        detector: AnyDetector,
        thresholds: Thresholds,
        past: Past,
        moment: Moment,
    ) -> Look | None:
        """Return the last look where it may stand for one of now."""
        uptime, last = self._last.get(detector.name, (0.0, None))
        if last is None or last.thresholds != thresholds or detector.name in past.due:
            return None
        # Rounds come a little early or late: a tenth is nothing to a period.
        if moment.uptime - uptime >= 0.9 * self.haste * source.period or not _may_be_kept(last):
            return None
        return dataclasses.replace(last, fresh=False, seconds=0.0)

    def _survey(
        self, survey: Survey, memory: Mapping[int, Remembered], moment: Moment
    ) -> tuple[Inventory | None, Failure | None]:
        name = "the namespace inventory"
        self.notice(name)
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
        source: Source[Any, Any],
        detector: AnyDetector,
        thresholds: Thresholds,
        occasion: Occasion[Any],
    ) -> Look:
        def examined() -> Look:
            sample = source.collect(self.host, occasion)
            return Look(
                detector,
                thresholds,
                observations=tuple(detector.judge(sample, thresholds.params)),
                signals={signal.name: dict(signal.values(sample)) for signal in detector.signals},
                blind=tuple(getattr(sample, "blind", ())),
                capacities=detector.capacities(sample),
                memory=None if source.remember is None else source.remember(sample),
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


def _unheard(_: str) -> None:
    """Tell nobody what is being looked at."""


def _may_be_kept(look: Look) -> bool:
    """Whether a look may stand for a later one: it came to something, or nothing is there."""
    return look.failure is None or look.failure.reason == "NotAvailable"


def paired(
    sources: Iterable[Source[Any, Any]], detectors: Iterable[AnyDetector]
) -> tuple[tuple[Source[Any, Any], AnyDetector], ...]:
    """Return each detector with the source of its sample; ``TypeError`` where there is none."""
    makers = {source.sample: source for source in sources}
    pairs = []
    for detector in detectors:
        if detector.sample not in makers:
            raise TypeError(f"no source makes the {detector.sample.__name__} of {detector.name}")
        pairs.append((makers[detector.sample], detector))
    return tuple(pairs)
