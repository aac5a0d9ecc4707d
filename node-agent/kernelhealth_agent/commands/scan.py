"""``scan``: look at a machine now, twice if it takes time to be sure, or again and again."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from kernelhealth_agent import (
    attribution,
    catalogue,
    errors,
    looking,
    moments,
    plugins,
    report,
    thresholds,
)
from kernelhealth_agent.arguments import EXIT_BLIND, EXIT_FINDINGS, EXIT_HEALTHY
from kernelhealth_agent.examination import Examiner, Knowledge, Outcome
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.reporters import pods, terminal
from kernelhealth_agent.reporters.progress import Progress
from kernelhealth_agent.survey import Surveyor
from kernelhealth_agent.thresholds import Thresholds
from kernelhealth_api import duration
from kernelhealth_api.v1alpha1.nodekernelhealth import Health

_DEADLINE = 30.0
_PLUGIN_PATIENCE = 25.0
_MOST_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class _Scan:
    """What looks, and how; *live* is False for a recording, which is the same later."""

    examiner: Examiner
    chosen: dict[str, Thresholds]
    live: bool

    def begun(self, known: Knowledge, first: moments.Moment) -> Outcome:
        """Return the outcome of the first look, and of another where that takes a second one."""
        with Progress(sys.stderr, time.monotonic) as progress:
            self.examiner.rounds.notice = lambda name: progress.say(f"looking at {name}")
            return looked(
                self.examiner, self.chosen, known, first, wait=progress.say if self.live else None
            )


def execute(asked: argparse.Namespace) -> int:
    """Scan, print, and return the exit code that says how the machine is."""
    try:
        confirm_after = duration.parse(asked.confirm_after)
        period = None if asked.watch is None else duration.parse(asked.watch)
        pairs = catalogue.chosen(_every(asked.root or "/"), asked.detector)
        host = looking.host_at(asked.root or "/")
        known, first = looking.beginning(host)
        if period is not None:
            _watchable(host, period)
    except (
        ValueError,
        catalogue.NoSuchDetectorError,
        plugins.NoPluginsError,
        errors.HostError,
    ) as error:
        sys.stderr.write(f"kernelhealth-agent scan: {error}\n")
        return EXIT_BLIND
    surveyor = Surveyor(attribution.Places(), every=0.0)
    examiner = looking.examiner(host, pairs, surveyor, _DEADLINE, _MOST_BYTES)
    chosen = thresholds.in_force(examiner.rounds.detectors, {}, confirm_after)
    scan = _Scan(examiner, chosen, isinstance(host, LiveHost))
    outcome = scan.begun(known, first)
    _print(outcome, asked, live=scan.live)
    if period is not None:
        outcome = _watched(scan, outcome, asked, period)
    return exit_code(outcome)


def _every(root: str) -> tuple[catalogue.Pair, ...]:
    """Return all detectors, with those of the plugins that the environment names."""
    directory, every = os.environ.get("KERNELHEALTH_PLUGIN_DIR"), catalogue.every()
    around = plugins.Surroundings(every, plugins.environment(root, None), _PLUGIN_PATIENCE)
    plugged = plugins.plugged(Path(directory) if directory else None, around)
    atexit.register(plugged.close)
    return (*every, *plugged.pairs)


def _watchable(host: looking.AnyHost, period: timedelta) -> None:
    """Raise ``ValueError`` where a host cannot be looked at again and again."""
    why = "" if period >= timedelta(seconds=1) else "--watch must be 1s or longer"
    if not isinstance(host, LiveHost):
        why = "--watch is for a machine that changes, which a recording does not: leave it out"
    if why:
        raise ValueError(why)


def looked(
    examiner: Examiner,
    chosen: dict[str, Thresholds],
    known: Knowledge,
    first: moments.Moment,
    *,
    wait: Callable[[str], None] | None,
) -> Outcome:
    """Return the outcome of one look, or of two where something takes time to be confirmed.

    *wait* is told what is waited for; None is for a recording, where later is now.
    """
    outcome = examiner.examine(known, chosen, first)
    if outcome.due is None:
        return outcome
    # All thresholds have the same time in a scan: what is due first is due last.
    later = first.after(outcome.due - first.uptime)
    if wait is not None:
        left = max(0.0, later.uptime - moments.now().uptime)
        wait(f"looking again in {left:.0f} s, to be sure of what may pass by")
        threading.Event().wait(left)
        later = moments.now()
    return examiner.examine(outcome.knowledge, chosen, later)


def _watched(
    scan: _Scan, outcome: Outcome, asked: argparse.Namespace, period: timedelta
) -> Outcome:
    """Look and print once a *period*; return the last outcome when somebody presses Ctrl-C.

    Whoever is started in the background of a script is born deaf to it, and would never end.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            threading.Event().wait(period.total_seconds())
            outcome = scan.examiner.examine(outcome.knowledge, scan.chosen, moments.now())
            _print(outcome, asked, live=True)
    return outcome


def exit_code(outcome: Outcome) -> int:
    """Return 2 where the look was not whole, else 1 for findings above Info, else 0."""
    unknown = [c for c in outcome.status.conditions if c.status == "Unknown"]
    expected = all(condition.reason == "NotAvailable" for condition in unknown)
    if len(unknown) == len(outcome.status.conditions) or not expected:
        return EXIT_BLIND
    if outcome.status.health in {Health.CRITICAL, Health.WARNING}:
        return EXIT_FINDINGS
    return EXIT_HEALTHY


def notes(outcome: Outcome, *, live: bool) -> list[str]:
    """Return what the reader should know about what could not be seen."""
    found = list(looking.lacking()) if live else []
    if outcome.round.inventory is not None:
        found += outcome.round.inventory.blind
    if outcome.status.suspected:
        found.append(f"{outcome.status.suspected} suspicions came up too late to be confirmed")
    return found


def _print(outcome: Outcome, asked: argparse.Namespace, *, live: bool) -> None:
    remarks = notes(outcome, live=live)
    if asked.output == "json":
        # One object a line is what programs read that follow along.
        indent = 2 if asked.watch is None else None
        json.dump(_wire(outcome, asked.by), sys.stdout, indent=indent, ensure_ascii=False)
        sys.stdout.write("\n")
        for remark in remarks:
            sys.stderr.write(f"note: {remark}\n")
    else:
        _show(outcome, asked, remarks)
    sys.stdout.flush()


def _show(outcome: Outcome, asked: argparse.Namespace, remarks: Sequence[str]) -> None:
    view = pods.by_pod(outcome.confirmed) if asked.by == "pod" else None
    if asked.watch is not None:
        terminal.renew(outcome.round.moment.wall, sys.stdout)
    terminal.show(outcome.status, remarks, sys.stdout, outcome.round.moment.wall, view)


def _wire(outcome: Outcome, by: str) -> dict[str, Any]:
    whole = report.wire(outcome.status)
    if by == "pod":
        del whole["findings"]
        whole["pods"] = pods.wire(pods.by_pod(outcome.confirmed))
    return whole
