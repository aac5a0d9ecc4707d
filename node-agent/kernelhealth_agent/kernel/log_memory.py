"""What became of the kernel's reports: counted by kind and subject, dated, over when they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from kernelhealth_agent.kernel.log_catalogue import BY_NAME, Reading, Report

MOST_SUBJECTS = 24
"""Subjects of one kind that are remembered, the latest; the others are counted with the last."""
LONGEST = 7 * 86400.0
"""Seconds for which something that does not last is remembered at the most."""
_LINE, _VALUE = 160, 64


@dataclass(frozen=True, slots=True)
class Happening:
    """All reports of one kind on one subject, in this boot.

    *first* and *last* are uptimes in seconds. *line* is the first line of the first report; nothing
    where the kernel only counted: *counted* such reports. *before* of them were there when the log
    was looked at for the first time. *fields* are what the lines name, *pod* and *pod_uid* whose
    the task is, *still* whether it is so now, where that can be told. *said* is the time of the
    last report by the clock of the log, which is good for comparing with other lines alone.
    """

    kind: str
    key: str
    first: float
    last: float
    count: int = 1
    line: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    before: bool = False
    pod: str | None = None
    pod_uid: str | None = None
    still: bool | None = None
    said: float = 0.0


@dataclass(frozen=True, slots=True)
class Readings:
    """The kernel's counters by the names of their files, and its taint bits; None for unread."""

    counters: Mapping[str, int] = field(default_factory=dict)
    taint: int | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a boot's log.

    *sequence* is the last record that was read, *uptime* when. *first* are the readings of the
    first look, *based* how many of a counter no report explained then. *events* counts reports by
    kind, *lost* records that were overwritten unread, *suppressed* lines that the kernel held back.
    *taints* has the uptime at which a bit was first seen, for those that came later, *modules* the
    module that the log blames for a letter.
    """

    sequence: int = -1
    uptime: float = 0.0
    happenings: tuple[Happening, ...] = ()
    first: Readings = field(default_factory=Readings)
    based: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, int] = field(default_factory=dict)
    suppressed: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    taints: Mapping[int, float] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)


def merged(memory: Memory, reading: Reading, now: float) -> Memory:
    """Return a memory with what a stretch of the log says, read at the uptime *now*.

    The clock of the log stands still while a machine sleeps and may run a little wrong: what was
    read now was said after the last look and not later than now.
    """
    known = {(h.kind, h.key): h for h in memory.happenings}
    events = dict(memory.events)
    for report in reading.reports:
        moment = min(now, max(memory.uptime, report.seconds))
        events[report.kind] = events.get(report.kind, 0) + report.count
        if BY_NAME[report.kind].reason is not None:
            _count(known, report, moment)
    for kind, subject, seconds in reading.ended:
        past = known.get((kind, subject))
        if past is not None and past.said <= seconds:
            del known[kind, subject]
    suppressed = dict(memory.suppressed)
    for what, number in reading.suppressed.items():
        if what in suppressed or len(suppressed) < MOST_SUBJECTS:
            suppressed[what] = suppressed.get(what, 0) + number
    return replace(
        memory,
        uptime=now,
        happenings=tuple(bounded(known.values(), now)),
        events=events,
        suppressed=suppressed,
    )


def _count(known: dict[tuple[str, str], Happening], report: Report, moment: float) -> None:
    key = report.key[:120]
    if (report.kind, key) not in known:
        same = [past for past in known.values() if past.kind == report.kind]
        if len(same) >= MOST_SUBJECTS or not any(report.fields.values()):
            key = max(same, key=lambda past: past.last).key if same else key
    past = known.get((report.kind, key))
    if past is None:
        fields = {name: value[:_VALUE] for name, value in report.fields.items()}
        known[report.kind, key] = Happening(
            report.kind,
            key,
            moment,
            moment,
            report.count,
            report.line[:_LINE],
            fields,
            said=report.seconds,
        )
    else:
        known[report.kind, key] = replace(
            past,
            last=max(past.last, moment),
            count=past.count + report.count,
            still=None,
            said=report.seconds,
        )


def bounded(happenings: Iterable[Happening], now: float) -> list[Happening]:
    """Return what is worth remembering at the uptime *now*: damage, and what is not too old."""
    return [h for h in happenings if BY_NAME[h.kind].lasts or now - h.last <= LONGEST]
