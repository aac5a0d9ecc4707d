"""What a report means, in a few plain sentences. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from kernelhealth_agent.wording import printable
from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_api.v1alpha1.nodekernelhealth import NodeKernelHealthStatus

_TOLD = 3
_REBOOT = "Reboot"
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def summary(status: NodeKernelHealthStatus, now: datetime) -> str:
    """Return what is wrong, the worst first, what comes of it and what to do; a line each."""
    troubles = [found for found in status.findings if found.severity is not Severity.INFO]
    lines = [_opening(status, troubles)]
    lines += [f"{number}. {sentence(f, now)}" for number, f in enumerate(troubles[:_TOLD], 1)]
    if len(troubles) > _TOLD:
        lines.append(f"… and {len(troubles) - _TOLD} more, below.")
    lines += _unseen(status)
    return "\n".join(lines)


def sentence(found: Finding, now: datetime) -> str:
    """Return one finding in plain words, without what only its table tells."""
    what = words(found.reason)
    what = what[0].upper() + what[1:]
    times = f", {found.count} times" if found.count > 1 else ""
    who = f", by {printable(subject)}" if (subject := _subject(found)) else ""
    since = f", for {span(now - found.since)}" if now > found.since else ""
    return f"{what}{times}{who}{since}{_prospect(found, now)}. {_cure(found)}"


def words(name: str) -> str:
    """Return an UpperCamel name as words: ``NetworkNamespaceLeaked`` is network namespace leaked.

    What is all capitals, TCP say, stays as it is.
    """
    parts = re.findall(r"IPv[46]|[A-Z]+(?=[A-Z][a-z]|\d|$)|[A-Z]?[a-z]+|[A-Z]+|\d+", name)
    return " ".join(part if sum(map(str.isupper, part)) > 1 else part.lower() for part in parts)


def span(time: timedelta) -> str:
    """Return a length of time in its largest unit: 3 d, 5 h, 20 min, 8 s."""
    seconds = max(0.0, time.total_seconds())
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return "no time"


def _opening(status: NodeKernelHealthStatus, troubles: list[Finding]) -> str:
    if troubles:
        grave = sum(found.severity is Severity.CRITICAL for found in troubles)
        many = "1 thing is" if len(troubles) == 1 else f"{len(troubles)} things are"
        note = f", {grave} of them critical" if grave and len(troubles) > 1 else ""
        return f"{many} wrong with this kernel{note}."
    seen = sum(condition.status != "Unknown" for condition in status.conditions)
    if not seen:
        return "Nothing could be looked at, so nothing can be said of this kernel."
    return f"Nothing is wrong with this kernel as far as {seen} detectors can see."


def _subject(found: Finding) -> str | None:
    subject = found.subject
    if subject.pod:
        return f"pod {subject.pod}"
    return subject.process or subject.device or subject.file


def _prospect(found: Finding, now: datetime) -> str:
    if found.exhaustion is not None:
        left = found.exhaustion - now
        return f"; the node runs out in {span(left)}" if left > timedelta() else "; it has run out"
    if found.per_hour:
        return f"; {found.per_hour:g} more every hour"
    return ""


def _cure(found: Finding) -> str:
    mild = [cure for cure in found.cures if cure != _REBOOT]
    if mild:
        last = "; a reboot is the last resort" if _REBOOT in found.cures else ""
        return f"Cure: {words(mild[0])}{last}."
    return "Only a reboot cures it." if _REBOOT in found.cures else "See below what to do."


def _unseen(status: NodeKernelHealthStatus) -> Iterator[str]:
    """Yield what was not seen: what a host does not have is worth fewer words than a failure."""
    unknown = [c for c in status.conditions if c.status == "Unknown"]
    absent = [c.type for c in unknown if c.reason == "NotAvailable"]
    failed = [f"{c.type} ({c.reason})" for c in unknown if c.reason != "NotAvailable"]
    if failed:
        yield f"Not known, because the look failed: {', '.join(failed)}."
    if absent:
        yield f"Not to be had on this host: {', '.join(absent)}."
