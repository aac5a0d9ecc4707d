"""The catalogue of what the kernel's log says, and how reports of many lines are read by it.

A report begins with a line of the catalogue; the lines after it, of the same thread or processor,
name the task, the place in the kernel and the module, up to ``---[ end trace``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from kernelhealth_agent.kernel import damage_entries, device_entries, stall_entries
from kernelhealth_agent.kernel.kmsg import Record
from kernelhealth_agent.kernel.log_entries import Entry, Match, catalogue

CATALOGUE = catalogue(
    (*damage_entries.ENTRIES, *stall_entries.ENTRIES, *device_entries.ENTRIES),
)
BY_NAME = {entry.name: entry for entry in CATALOGUE.entries}

_LONGEST_REPORT = 200
_LONGEST_TIME = 10.0
_EARLIER_BOOT = "BERT: Error records from previous boot"
_CONTEXT = (
    re.compile(
        r"CPU: \d+ (?:UID: \d+ )?PID: (?P<pid>\d+) Comm: (?P<task>.{1,16}?)"
        r" (?:Not tainted|Tainted: )"
    ),
    re.compile(
        r"RIP: [0-9a-f]{4}:(?P<function>[A-Za-z_][^\s+]{0,99})\+\S+(?: \[(?P<module>\w+)\])?"
    ),
    re.compile(
        r"RIP: [0-9a-f]{4}:\[<[0-9a-f]+>\] +\[<[0-9a-f]+>\] (?P<function>[A-Za-z_][\w.]*)\+"
    ),
    re.compile(r"pc : (?P<function>[A-Za-z_][^\s+]{0,99})\+\S+(?: \[(?P<module>\w+)\])?"),
    re.compile(r"Workqueue: (?P<work>[\w-]{1,40} [^\s(]{1,60})"),
)
_ENDING = ("nfs: ", "EXT", "XFS ")
_END = "---[ end trace"


@dataclass(frozen=True, slots=True)
class Report:
    """One report: its kind, its first line, and what its lines name.

    *count* is how many it tells of, *seconds* are those of the kernel's log.
    """

    kind: str
    line: str
    seconds: float
    fields: dict[str, str]
    count: int = 1

    @property
    def key(self) -> str:
        """What tells its subject from others of its kind."""
        return "/".join(self.fields.get(name, "") for name in BY_NAME[self.kind].key)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a stretch of the log says.

    *ended*: kind and subject of troubles that are over, each with the time; *suppressed*: how many
    lines the kernel held back, by what it calls them.
    """

    reports: tuple[Report, ...]
    ended: tuple[tuple[str, str, float], ...] = ()
    suppressed: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Open:
    """A report whose lines still come."""

    entry: Entry
    report: Report
    caller: str | None
    left: int = _LONGEST_REPORT


def read(found: Iterable[Record]) -> Reading:
    """Return the reports of records, in order; records that are not the kernel's say nothing."""
    reports: list[Report] = []
    ended: list[tuple[str, str, float]] = []
    suppressed: dict[str, int] = {}
    open_one: _Open | None = None
    replay = -1.0
    for record in found:
        if not record.is_kernels:
            continue
        if record.text.startswith(_EARLIER_BOOT):
            replay = record.seconds
        match = CATALOGUE.match(record)
        if match is not None and _is_replayed(match, record, replay):
            continue
        if open_one is not None and _continues(open_one, record, match):
            continue
        if match is not None:
            report = Report(match.entry.name, record.text[:256], record.seconds, {**match.fields})
            reports.append(report)
            open_one = _Open(match.entry, report, record.caller) if match.entry.opens else None
        else:
            _note(record, reports, ended, suppressed)
    return Reading(tuple(reports), tuple(ended), suppressed)


def _is_replayed(match: Match, record: Record, replay: float) -> bool:
    """Whether the firmware tells of the boot before: within a second of saying so."""
    return "Hardware" in match.entry.name and replay >= 0 and record.seconds - replay < 1.0


def _continues(one: _Open, record: Record, match: Match | None) -> bool:
    """Take a line of an open report; return whether it is no report of its own."""
    if one.left <= 0 or record.seconds - one.report.seconds > _LONGEST_TIME:
        return False
    if record.caller != one.caller:
        return False
    one.left -= 1
    fields = one.report.fields
    if match is not None:
        die = match.fields.get("die")
        if match.entry.name not in one.entry.absorbs or (die and fields.get("die", die) != die):
            return False
        found: dict[str, str] = dict(match.fields)
    elif record.text.startswith(_END):
        one.left = 0
        return False
    else:
        found = {}
        for pattern in _CONTEXT:
            context = pattern.match(record.text)
            found |= {k: v for k, v in (context.groupdict() if context else {}).items() if v}
    for name, value in found.items():
        fields.setdefault(name, value)
    return match is not None


def _note(
    record: Record,
    reports: list[Report],
    ended: list[tuple[str, str, float]],
    suppressed: dict[str, int],
) -> None:
    """Take down what is over, and what the kernel did not print."""
    text = record.text
    if text.endswith("suppressed"):
        held = CATALOGUE.held_back(record)
        if held is not None and held[1]:
            reports.append(Report(held[0].name, text[:256], record.seconds, {}, held[1]))
        what, _, number = text.removesuffix(" callbacks suppressed").rpartition(": ")
        if what and number.isdigit() and len(number) < 10 and record.priority <= 4:
            suppressed[what[:48]] = suppressed.get(what[:48], 0) + int(number)
    elif text.startswith(_ENDING):
        ended += [(kind, subject, record.seconds) for kind, subject in CATALOGUE.ended(record)]
