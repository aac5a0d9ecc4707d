"""What an entry of the catalogue of the kernel's log is, and how a record is looked up in it.

The text of a line is not all the kernel's: names of processes stand in many, at the very beginning
in some (``COMM[PID]: segfault at …``, ``COMM: page allocation failure``). A pattern therefore
matches from the beginning of a record, wants more than the 15 bytes that a process can choose, and
only at levels at which the kernel really says it. What programs write into the log never counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kernelhealth_agent.kernel.kmsg import Record
from kernelhealth_api.detector import Reason

WARNING, NOTICE, INFO = 4, 5, 6
"""Levels of include/linux/kern_levels.h: a larger number is less urgent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of report.

    *name* is that of its *reason*, where there is one: without, it is counted only, since another
    detector judges it. *patterns* name what they extract; *key* lists which of that tells one
    subject from another. *starts* is how any of its lines begins.

    *counter* is a file below the root that the kernel counts such reports in, *taint* the bit it
    sets; where that is *certain*, a report that moved neither is doubted. What *lasts* has hurt the
    kernel until the next boot; the rest is over some time after the last report. *opens* says that
    lines of context follow, up to ``end trace``, in which reports of the kinds *absorbs* are parts
    of this one. *ends* tells that the trouble is over, *suppressed* how many reports were not
    printed. *worse* is from how many reports of one subject on it is Critical (the name of a
    parameter). *cost* is what it means for the node, *advice* what to do.
    """

    name: str
    starts: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]
    reason: Reason | None = None
    key: tuple[str, ...] = ()
    counter: str | None = None
    taint: int | None = None
    certain: bool = False
    lasts: bool = False
    opens: bool = False
    absorbs: frozenset[str] = frozenset()
    ends: re.Pattern[str] | None = None
    suppressed: re.Pattern[str] | None = None
    worse: str | None = None
    level: int = WARNING
    not_before: float = 0.0
    title: str = ""
    cost: str = ""
    advice: str = ""
    cures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """A record that begins a report, and what its line tells."""

    entry: Entry
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Entries in the order in which they are tried, and how any of their lines begins."""

    entries: tuple[Entry, ...]
    starts: tuple[str, ...]

    def match(self, record: Record) -> Match | None:
        """Return what a record begins, or None for what nobody wrote down."""
        text = record.text
        if not record.is_kernels or not text.startswith(self.starts):
            return None
        for entry in self.entries:
            if record.priority > entry.level or record.seconds < entry.not_before:
                continue
            for pattern in entry.patterns if text.startswith(entry.starts) else ():
                found = pattern.match(text)
                if found is not None:
                    return Match(entry, {k: v for k, v in found.groupdict().items() if v})
        return None

    def ended(self, record: Record) -> list[tuple[str, str]]:
        """Return the kinds of trouble that a record says are over, each with its subject."""
        found = []
        for entry in self.entries:
            if entry.ends is not None and record.is_kernels and record.priority <= INFO:
                match = entry.ends.match(record.text)
                if match is not None:
                    found.append((entry.name, match[1]))
        return found

    def held_back(self, record: Record) -> tuple[Entry, int] | None:
        """Return of which kind how many reports were not printed, where a record says so."""
        for entry in self.entries:
            if entry.suppressed is not None and record.is_kernels and record.priority <= WARNING:
                found = entry.suppressed.match(record.text)
                if found is not None:
                    return entry, int(found[1])
        return None


def catalogue(entries: Sequence[Entry]) -> Catalogue:
    """Return entries as a catalogue."""
    return Catalogue(tuple(entries), tuple({start for entry in entries for start in entry.starts}))
