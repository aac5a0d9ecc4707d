"""Runs plugins when they are due, and tells how each ended last.

A plugin may take longer than a round may wait. So each runs in a thread of its own, which kills it
after its time, and a round takes the results that there are. Of each plugin one runs at a time.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kernelhealth_agent.hosts import scripts
from kernelhealth_agent.hosts.running import Ending, Running, Script

_GRACE: Final = 60.0
"""Seconds that a plugin may be late, since it waits for others of its file."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A script that is run every *interval* seconds; *name* tells it from the others."""

    name: str
    script: Script
    interval: float


class Runner:
    """Runs plugins, *concurrency* of them at a time, with that *environment*."""

    def __init__(
        self,
        concurrency: int,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = dict(environment)
        self._clock = clock
        self._places = threading.Semaphore(concurrency)
        self._changed = threading.Condition()
        self._last: dict[str, Ending] = {}
        self._begun: dict[str, float] = {}
        self._busy: set[str] = set()
        self._running: dict[str, Running] = {}
        self._closing = False

    def results(self, plugins: Sequence[Plugin], patience: float) -> dict[str, Ending | None]:
        """Run those that are due and return how each ended last; None for not yet.

        What is under way for so long that the last result says nothing any more has no status.
        Waits *patience* seconds at the most for those under way.
        """
        end = time.monotonic() + patience
        with self._changed:
            for plugin in plugins:
                self._start_if_due(plugin)
            names = {plugin.name for plugin in plugins}
            while self._busy & names and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            return {plugin.name: self._latest(plugin) for plugin in plugins}

    def close(self) -> None:
        """Kill what runs, and start nothing any more."""
        with self._changed:
            self._closing = True
            for running in self._running.values():
                running.kill()

    def _latest(self, plugin: Plugin) -> Ending | None:
        """Return the last result, unless the next one is overdue: what hangs is not healthy."""
        waited = self._clock() - self._begun.get(plugin.name, self._clock())
        most = 2 * plugin.interval + plugin.script.timeout + _GRACE
        if plugin.name in self._busy and waited > most:
            return Ending(None, wrong=f"it was due {waited:.0f} s ago and has not ended since")
        return self._last.get(plugin.name)

    def _start_if_due(self, plugin: Plugin) -> None:
        """Begin a run unless one is under way, or the last one is not old enough."""
        now, before = self._clock(), self._begun.get(plugin.name)
        # Rounds come a little early or late: a tenth is nothing to an interval.
        due = before is None or now - before >= 0.9 * plugin.interval
        if self._closing or plugin.name in self._busy or not due:
            return
        self._busy.add(plugin.name)
        self._begun[plugin.name] = now
        name = f"plugin {plugin.name}"
        threading.Thread(target=self._run, args=(plugin,), name=name, daemon=True).start()

    def _run(self, plugin: Plugin) -> None:
        with self._places:
            running = self._begin(plugin)
            if running is not None:
                self._tell(plugin, running.finished(lambda: self._closing))
                running.gone()
            with self._changed:
                if running is not None:
                    del self._running[plugin.name]
                    running.reaped()
                self._busy.discard(plugin.name)
                self._changed.notify_all()

    def _begin(self, plugin: Plugin) -> Running | None:
        with self._changed:
            if self._closing:
                return None
            begun = scripts.started(plugin.script, self._environment)
            if isinstance(begun, Running):
                self._running[plugin.name] = begun
                return begun
        self._tell(plugin, begun)
        return None

    def _tell(self, plugin: Plugin, ending: Ending) -> None:
        with self._changed:
            self._last[plugin.name] = ending
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Results:
    """The probe: how some plugins of a runner ended last, as JSON by their names.

    ``{"rules.0": {"status": 1, "output": "ntp.service is not running", "wrong": ""}}``, and null
    for one that has not ended yet. *patience* in seconds.
    """

    name: str
    runner: Runner = field(compare=False)
    plugins: tuple[Plugin, ...]
    patience: float

    def ask(self, root: str) -> bytes:  # noqa: ARG002 - Plugins see what the agent's process sees.
        """Run what is due, and return the results."""
        found = self.runner.results(self.plugins, self.patience)
        wired = {name: ending and _wire(ending) for name, ending in found.items()}
        return json.dumps(wired, indent=2).encode()


def _wire(ending: Ending) -> dict[str, object]:
    return {"status": ending.status, "output": ending.output, "wrong": ending.wrong}
