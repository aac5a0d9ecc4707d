"""The patrol: round after round, when time, the kernel or a suspicion asks for one."""

from __future__ import annotations

import logging
import random
import resource
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelhealth_agent import lingering, liveness, state, thresholds
from kernelhealth_agent.examination import Examiner, Outcome
from kernelhealth_agent.hosts.events import KernelEvents
from kernelhealth_agent.lingering import Lingering
from kernelhealth_agent.moments import Clock
from kernelhealth_agent.pacing import SHARE, Pace, Purse, affordable
from kernelhealth_agent.survey import Effort, Surveyor, is_doubtful

_LOGGER = logging.getLogger(__name__)
_BREATH, _SOON = 0.1, 1.5
"""Seconds."""

Listener = Callable[[Outcome, str], None]
"""Hears of each outcome, and of what asked for its round."""


def _used() -> float:
    """Return the processor time of this process and of its children, in seconds."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a patrol works with; *period* in seconds, *cpu* returns those that were used so far."""

    examiner: Examiner
    surveyor: Surveyor
    events: KernelEvents
    clock: Clock
    directory: Path
    period: float
    cpu: Callable[[], float] = _used
    share: float = SHARE


class Patrol:
    """Goes round until it is stopped. Whatever listeners do, they must not wait."""

    def __init__(
        self, equipment: Equipment, remembered: state.State, listeners: Iterable[Listener]
    ) -> None:
        self._equipment = equipment
        self._state = remembered
        self._listeners = tuple(listeners)
        self._spec: Mapping[str, Any] = remembered.spec
        self._spec_changed = threading.Event()
        self._treated = threading.Event()
        self._stopped = threading.Event()
        self._complaints: set[str] = set()
        self._purse = Purse(equipment.clock().uptime, share=equipment.share)
        self._full: tuple[float, float] = (0.0, equipment.period)
        self._used = 0.0
        self._suspicion: float | None = None
        self._lingering = Lingering()

    def stop(self) -> None:
        """End after the round under way, and wait for nothing that hangs.

        May be called from a signal handler: nothing here takes a lock that the loop takes.
        """
        self._stopped.set()
        self._equipment.examiner.rounds.workers.close()
        self._equipment.events.wake()

    def adopt(self, spec: Mapping[str, Any]) -> None:
        """Take what the operator wants of the node; a change asks for a round."""
        if spec != self._spec:
            self._spec = dict(spec)
            _LOGGER.info("NodeKernelHealth spec was adopted: policy=%s", spec.get("policy"))
            self._spec_changed.set()
            self._equipment.events.wake()

    def look_again(self) -> None:
        """Ask for a round at once, because the host was treated; from any thread."""
        self._treated.set()
        self._equipment.events.wake()

    def run(self) -> None:
        """Make rounds until ``stop``; raises nothing that one round or one file could cause."""
        trigger = "start"
        while not self._stopped.is_set():
            pace = self._round(trigger)
            trigger = self._rest(pace)

    def _round(self, trigger: str) -> Pace:
        equipment, before = self._equipment, self._state
        started = equipment.clock()
        spec, detectors = self._spec, equipment.examiner.rounds.detectors
        self._spec_changed.clear()
        self._treated.clear()
        equipment.surveyor.effort = self._effort(trigger, started.uptime)
        wanted = spec.get("detectors")
        chosen = thresholds.in_force(detectors, wanted if isinstance(wanted, Mapping) else {})
        policy = spec.get("policy")
        outcome = equipment.examiner.examine(
            before.knowledge, chosen, started, policy if isinstance(policy, str) else None
        )
        if not self._stopped.is_set():
            # One that was cut short is no news: what was known before stays the last word.
            self._state = before.model_copy(
                update={"knowledge": outcome.knowledge, "spec": dict(spec)}
            )
            for listener in self._listeners:
                listener(outcome, trigger)
            self._keep()
        pods = lingering.pods(outcome.round.inventory)
        self._lingering = self._lingering.seen(pods, started.uptime)
        return self._pace(outcome, trigger, started.uptime)

    def _effort(self, trigger: str, now: float) -> Effort:
        """Return how much a round may cost; what confirms something looks at everything."""
        if self._suspicion is not None and now >= self._suspicion:
            return Effort.FULL
        if trigger not in {"event", "confirmation"}:
            return Effort.STEADY
        return Effort.QUICK if self._purse.is_ample(now) else Effort.FRUGAL

    def _pace(self, outcome: Outcome, trigger: str, started: float) -> Pace:
        """Take account of a round, and return what decides about the next one."""
        equipment, cost = self._equipment, outcome.round.cpu_seconds
        surveyor, ended = equipment.surveyor, equipment.clock().uptime
        surveyor.doubt = is_doubtful(outcome.round, before=surveyor.doubt)
        if surveyor.full or surveyor.effort in {Effort.FULL, Effort.STEADY}:
            spread = 0.9 + 0.2 * random.random()  # noqa: S311
            self._full = (started, spread * affordable(equipment.period, cost, equipment.share))
        used = equipment.cpu()
        if trigger != "start":  # What it takes to begin is not what it takes to go on.
            self._purse = self._purse.spent(used - self._used, ended)
        self._used, self._suspicion = used, outcome.due
        wanted = (outcome.due, started + _SOON if surveyor.waiting else None)
        times = (*wanted, self._lingering.due(started))
        due = min((time for time in times if time is not None), default=None)
        since, period = self._full
        return Pace(period, since, ended, self._purse, due=due)

    def _keep(self) -> None:
        """Save the state and give a sign of life; the agent goes on without."""
        directory = self._equipment.directory
        writes: dict[str, Callable[[], None]] = {
            "state": lambda: state.save(directory, self._state),
            "sign of life": lambda: liveness.touch(str(directory)),
        }
        for what, write in writes.items():
            try:
                write()
            except (OSError, ValueError) as error:  # What cannot be put into words is not kept.
                if what not in self._complaints:
                    _LOGGER.warning("Agent's %s was not written: why=%s", what, error)
                    self._complaints.add(what)
            else:
                self._complaints.discard(what)

    def _rest(self, pace: Pace) -> str:
        """Wait until the next round is due and return what it is for."""
        events, clock = self._equipment.events, self._equipment.clock
        while not self._stopped.is_set():
            now = clock().uptime
            if self._spec_changed.is_set():
                return "spec"
            if self._treated.is_set():
                return "treatment"
            if now >= pace.next:
                return pace.trigger
            if events.wait(pace.next - now):
                pace = pace.told(clock().uptime)
                # One pod makes dozens of events: they are heard ten times a second at the most,
                # and not at all as long as they change nothing.
                events.rest(max(_BREATH, min(pace.settled, pace.next) - clock().uptime))
        return "stop"
