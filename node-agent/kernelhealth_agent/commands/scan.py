"""``scan``: look at a machine now, twice if it takes time to be sure."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Sequence

from kernelhealth_agent import attribution, catalogue, errors, looking, moments, report, thresholds
from kernelhealth_agent.arguments import EXIT_BLIND, EXIT_FINDINGS, EXIT_HEALTHY
from kernelhealth_agent.examination import Examiner, Knowledge, Outcome
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.reporters import terminal
from kernelhealth_agent.survey import Surveyor
from kernelhealth_agent.thresholds import Thresholds
from kernelhealth_api import duration
from kernelhealth_api.v1alpha1.nodekernelhealth import Health

_DEADLINE = 30.0
_MOST_BYTES = 1 << 18


def execute(asked: argparse.Namespace) -> int:
    """Scan, print, and return the exit code that says how the machine is."""
    try:
        confirm_after = duration.parse(asked.confirm_after)
        pairs = catalogue.chosen(catalogue.every(), asked.detector)
        host = looking.host_at(asked.root or "/")
        known, first = looking.beginning(host)
    except (ValueError, catalogue.NoSuchDetectorError, errors.HostError) as error:
        sys.stderr.write(f"kernelhealth-agent scan: {error}\n")
        return EXIT_BLIND
    surveyor = Surveyor(attribution.Places(), every=0.0)
    examiner = looking.examiner(host, pairs, surveyor, _DEADLINE, _MOST_BYTES)
    chosen = thresholds.in_force(examiner.rounds.detectors, {}, confirm_after)
    outcome = looked(examiner, chosen, known, first, wait=isinstance(host, LiveHost))
    _print(outcome, asked.output, notes(outcome, live=isinstance(host, LiveHost)))
    return exit_code(outcome)


def looked(
    examiner: Examiner,
    chosen: dict[str, Thresholds],
    known: Knowledge,
    first: moments.Moment,
    *,
    wait: bool,
) -> Outcome:
    """Return the outcome of one look, or of two where something takes time to be confirmed.

    *wait* is for hosts that change: a recording is the same later, so that later is now.
    """
    outcome = examiner.examine(known, chosen, first)
    if outcome.due is None:
        return outcome
    # All thresholds have the same time in a scan: what is due first is due last.
    later = first.after(outcome.due - first.uptime)
    if wait:
        threading.Event().wait(max(0.0, later.uptime - moments.now().uptime))
        later = moments.now()
    return examiner.examine(outcome.knowledge, chosen, later)


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


def _print(outcome: Outcome, output: str, remarks: Sequence[str]) -> None:
    if output == "json":
        json.dump(report.wire(outcome.status), sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
        for remark in remarks:
            sys.stderr.write(f"note: {remark}\n")
    else:
        terminal.show(outcome.status, remarks, sys.stdout)
