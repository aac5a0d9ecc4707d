"""The patrol: round after round, when time, the kernel or a suspicion asks for one."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelhealth_agent import liveness, state, thresholds
from kernelhealth_agent.examination import Examiner, Outcome
from kernelhealth_agent.hosts.events import KernelEvents
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.moments import Clock
from kernelhealth_agent.pacing import Pace
from kernelhealth_agent.survey import Surveyor

_LOGGER = logging.getLogger(__name__)
_BREATH = 0.1
_LINGER = 3.0
"""Seconds; the kubelet removes the directories of pods that have ended every 2."""
_IDLE_SHARE = 250.0
_LONGEST_PERIOD = 240.0

Listener = Callable[[Outcome, str], None]
"""Hears of each outcome, and what its round was for: start, period, event, confirmation, spec or
treatment."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a patrol works with; *period* in seconds."""

    examiner: Examiner
    surveyor: Surveyor
    events: KernelEvents
    clock: Clock
    directory: Path
    period: float


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
        """Ask for a round at once, because the host was treated. From any thread."""
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
        wanted = spec.get("detectors")
        chosen = thresholds.in_force(detectors, wanted if isinstance(wanted, Mapping) else {})
        policy = spec.get("policy")
        outcome = equipment.examiner.examine(
            before.knowledge, chosen, started, policy if isinstance(policy, str) else None
        )
        if self._stopped.is_set():
            # It may have been cut short: what was known before stays the last word.
            return Pace(equipment.period, started.uptime, equipment.clock().uptime)
        equipment.surveyor.doubt = outcome.due is not None or bool(outcome.findings)
        self._state = before.model_copy(update={"knowledge": outcome.knowledge, "spec": dict(spec)})
        for listener in self._listeners:
            listener(outcome, trigger)
        self._keep()
        return Pace(
            period=affordable(equipment.period, outcome.round.cpu_seconds)
            * (0.9 + 0.2 * random.random()),  # noqa: S311
            started=started.uptime,
            ended=equipment.clock().uptime,
            cpu_seconds=outcome.round.cpu_seconds,
            due=_due(outcome, trigger, started.uptime),
        )

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
                # One pod makes dozens of events: they are heard ten times a second at the most.
                events.rest(_BREATH)
        return "stop"


def lingers(inventory: Inventory | None) -> bool:
    """Whether the namespace of a pod lost its processes while the kubelet still knows the pod.

    Every pod that ends looks so for a moment. Should something keep the namespace, that shows only
    when the kubelet has removed the pod's directory, which no event tells.
    """
    return inventory is not None and any(
        space.pod is not None and not space.pids and space.pod.uid in inventory.pods
        for space in inventory.namespaces.values()
    )


def _due(outcome: Outcome, trigger: str, started: float) -> float | None:
    """Return the uptime at which to look again for what was seen, if at all."""
    if trigger == "event" and lingers(outcome.round.inventory):
        soon = started + _LINGER
        return soon if outcome.due is None else min(soon, outcome.due)
    return outcome.due


def affordable(period: float, cpu_seconds: float) -> float:
    """Return the period in seconds, longer where rounds that find nothing would cost too much.

    A node with tens of thousands of processes makes a round dear: those that only time asks for
    shall not take more than 0.4 % of a processor, but are never further apart than 4 minutes, in
    which the liveness probe still believes in the agent.
    """
    return max(period, min(_LONGEST_PERIOD, _IDLE_SHARE * cpu_seconds))
