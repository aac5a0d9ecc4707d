"""``treat``: show what could be done about what a scan finds, and do it when that is confirmed."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic import ValidationError

from kernelhealth_agent import (
    attribution,
    catalogue,
    errors,
    inventory,
    looking,
    practice,
    prescriptions,
    thresholds,
)
from kernelhealth_agent.arguments import EXIT_BLIND, EXIT_FINDINGS, EXIT_HEALTHY
from kernelhealth_agent.attendance import Attendance
from kernelhealth_agent.commands import scan
from kernelhealth_agent.confirmation import Seen
from kernelhealth_agent.examination import Outcome
from kernelhealth_agent.hands import DryHands
from kernelhealth_agent.hosts.events import KernelEvents
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.journal import BusyError
from kernelhealth_agent.practice import Practice
from kernelhealth_agent.prescriptions import NoSuchFixError, Prescription
from kernelhealth_agent.reporters import treatments
from kernelhealth_agent.reporters.progress import Progress
from kernelhealth_agent.reporters.treatments import Row
from kernelhealth_agent.settings import Settings
from kernelhealth_agent.surgery import End, Result
from kernelhealth_agent.survey import Surveyor
from kernelhealth_agent.wording import printable
from kernelhealth_api import duration
from kernelhealth_api.v1alpha1.request import RequestState

_DEADLINE = 30.0


class UnusableError(Exception):
    """What was asked for makes no sense here; the message says what to change."""


@dataclass(frozen=True, slots=True)
class _Treated:
    """A prescription, and how it went where it was followed."""

    given: Prescription
    result: Result | None = None


def execute(asked: argparse.Namespace) -> int:
    """Look, show or do, and return the exit code that says how it went."""
    try:
        return _treat(asked)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False)[0]
        name = f"KERNELHEALTH_{'_'.join(map(str, wrong['loc'])).upper()}"
        sys.stderr.write(f"kernelhealth-agent treat: {name}: {wrong['msg']}\n")
    except (ValueError, UnusableError, NoSuchFixError, errors.HostError, OSError) as error:
        sys.stderr.write(f"kernelhealth-agent treat: {error}\n")
    return EXIT_BLIND


def _treat(asked: argparse.Namespace) -> int:
    root = asked.root or "/"
    host = looking.host_at(root)
    if asked.yes and not isinstance(host, LiveHost):
        raise UnusableError("--yes is for a machine, and this is a recording of one: leave it out")
    settings = Settings().model_copy(update={"root": root})
    opened = practice.opened(settings, host, _boot(host), lambda _: None)
    fixes = prescriptions.chosen(opened.fixes, asked.fixes)
    places = attribution.Places(settings.kubelet_pods, settings.pod_logs)
    outcome = _looked(host, places, duration.parse(asked.confirm_after).total_seconds())
    blind = scan.exit_code(outcome) == EXIT_BLIND
    for note in scan.notes(outcome, live=isinstance(host, LiveHost)):
        sys.stderr.write(f"note: {note}\n")
    # A recording has no files that could be written; what would be done to the machine is told.
    hands = opened.hands if isinstance(host, LiveHost) else DryHands()
    given = prescriptions.prescribed(fixes, outcome.confirmed, host, hands, asked.fixes)
    if asked.yes and opened.boot_id is None:
        raise UnusableError("it cannot be read which boot this is, so that nothing can be done")
    if not asked.yes:
        treated = [_Treated(each) for each in given]
    else:
        with KernelEvents(root) as news:
            with opened.journal.held():
                pass  # Nobody else is treating it: each fix takes the lock for itself.
            treated = list(_done(given, outcome.confirmed, replace(opened, wait=news.wait)))
    _print(treated, asked)
    return _exit_code(treated, blind=blind, done=asked.yes)


def _boot(host: looking.AnyHost) -> str | None:
    """Return the id of the boot, without which nothing is done; None where nobody says it."""
    try:
        return inventory.boot_id(host)
    except errors.HostError:
        return None


def _looked(host: looking.AnyHost, places: attribution.Places, seconds: float) -> Outcome:
    """Return what two looks have confirmed, as a scan does it."""
    surveyor = Surveyor(places, every=0.0)
    examiner = looking.examiner(host, catalogue.every(), surveyor, _DEADLINE)
    chosen = thresholds.in_force(examiner.rounds.detectors, {}, timedelta(seconds=seconds))
    known, first = looking.beginning(host)
    with Progress(sys.stderr, time.monotonic) as progress:
        examiner.rounds.notice = lambda name: progress.say(f"looking at {name}")
        wait = progress.say if isinstance(host, LiveHost) else None
        return scan.looked(examiner, chosen, known, first, wait=wait)


def _done(
    given: Iterable[Prescription], confirmed: Sequence[Seen], opened: Practice
) -> Iterator[_Treated]:
    """Follow the prescriptions one fix after the other, and yield how each went."""
    for _, group in itertools.groupby(given, lambda each: each.fix.name):
        followed = list(group)
        if all(each.objection for each in followed):
            for each in followed:
                yield _Treated(each, Result(each.aim.title, End.REFUSED, each.objection))
        else:
            yield from _followed(followed, confirmed, opened)


def _followed(
    given: Sequence[Prescription], confirmed: Sequence[Seen], opened: Practice
) -> Iterator[_Treated]:
    """Attend to one fix like to a request of the operator: once, in time, and on record."""
    reasons = (each.aim.observation.reason.name for each in given)
    request = prescriptions.request(given[0].fix, reasons, opened.clock(), opened.boot_id or "")
    attended = Attendance(request, confirmed, opened, _say)
    try:
        answer = attended.conduct(lambda _: None, lambda: True)
    except BusyError as error:
        yield from (_Treated(e, Result(e.aim.title, End.REFUSED, str(error))) for e in given)
        return
    end = End.REFUSED if answer.state is RequestState.REFUSED else End.FAILED
    for each, result in itertools.zip_longest(given, attended.results):
        yield _Treated(each, result or Result(each.aim.title, end, answer.message))


def _say(deed: str) -> None:
    sys.stderr.write(f"doing: {printable(deed)}\n")


def _print(treated: Sequence[_Treated], asked: argparse.Namespace) -> None:
    rows = [_row(each) for each in treated]
    if asked.output == "json":
        json.dump(treatments.wire(rows, done=asked.yes), sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    treatments.show(rows, sys.stdout)
    possible = [each for each in treated if not each.given.objection]
    if possible and not asked.yes:
        sys.stdout.write("Nothing was done. With --yes it is.\n")


def _row(treated: _Treated) -> Row:
    given, result = treated.given, treated.result
    return Row(
        fix=given.fix.name,
        stage=str(given.fix.stage),
        what=given.aim.title,
        reason=given.aim.observation.reason.name,
        deeds=given.deeds,
        risky=given.risky,
        result="" if result is None else str(result.end),
        why=given.objection if result is None else result.why,
    )


def _exit_code(treated: Sequence[_Treated], *, blind: bool, done: bool) -> int:
    """Return 2 where too little was seen to say more; 1 where there is something left to do."""
    if not treated:
        return EXIT_BLIND if blind else EXIT_HEALTHY
    if not done:
        return EXIT_FINDINGS
    achieved = all(each.result is not None and each.result.end is End.ACHIEVED for each in treated)
    return EXIT_HEALTHY if achieved else EXIT_FINDINGS
