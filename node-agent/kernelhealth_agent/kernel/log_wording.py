"""What the kernel reported, in words."""

from __future__ import annotations

from datetime import UTC, datetime

from kernelhealth_agent.kernel.log_entries import Entry
from kernelhealth_agent.kernel.log_memory import Happening
from kernelhealth_agent.kernel.naming import printable, short
from kernelhealth_api.v1alpha1.finding import Subject


def subject(happening: Happening) -> Subject:
    """Return what a happening is about: the process, the pod, the device, the place."""
    fields = happening.fields
    known = {
        "process": _process(happening),
        "device": _device(happening),
        "file": fields.get("where"),
        "holder": f"module {fields['module']}" if "module" in fields else None,
        "pod": happening.pod,
        "pod_uid": happening.pod_uid,
        "pod_known_by": "cgroup" if happening.pod_uid else None,
    }
    return Subject.model_validate(
        {name: printable(value) for name, value in known.items() if value is not None}
    )


def message(happening: Happening, entry: Entry, since: datetime, *, doubt: bool) -> str:
    """Return the one sentence that says what was reported, of what, how often, and what to do.

    When it began stands beside it in a finding.
    """
    if not happening.line:
        return _counted(happening, entry, since)
    details = ", ".join(_details(happening, entry))
    title = f"{entry.title} ({details})" if details else entry.title
    told = f"{title}{_often(happening)}{_now(happening)}"
    line = short_line(happening.line)
    if doubt:
        return (
            f"{told}, which neither the kernel's counters nor its taint bits bear out: it may not"
            f" have been the kernel that said so; see dmesg for {line}."
        )
    # The line comes last, since a report that gets too long loses the ends of its sentences.
    over = happening.kind == "HungTasks" and happening.still is False
    cost = "it went on or ended since" if over else entry.cost
    return f"{told}: {cost}; {entry.advice}; the log says {line}."


def when(moment: datetime) -> str:
    """Return a moment as a person reads it, to the second, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def short_line(line: str) -> str:
    """Return the first words of a line of the log, in quotes."""
    shown = printable(line.strip())
    return f'"{shown if len(shown) <= 100 else f"{shown[:99]}…"}"'


def _counted(happening: Happening, entry: Entry, since: datetime) -> str:
    where = f"/{entry.counter}" if entry.counter else "/proc/sys/kernel/tainted"
    how_many = f"{happening.count} time{'s' if happening.count > 1 else ''}"
    how_many = f"{how_many} " if entry.counter else ""
    if happening.before:
        known = f"before the agent first looked, {when(since)}"
    else:
        known = f"last noticed {when(since)}" if happening.count > 1 else f"by {when(since)}"
    return (
        f"{entry.title} {how_many}by {where}, {known}, but the report is no longer, or never was,"
        f" in the kernel's log: {entry.cost}; {entry.advice}."
    )


def _details(happening: Happening, entry: Entry) -> list[str]:
    fields, said = happening.fields, []
    process, device = _process(happening), _device(happening)
    if "function" in fields:
        module = f" of module {fields['module']}" if "module" in fields else ""
        said.append(f"in {short(fields['function'])}{module}")
    elif "where" in fields:
        said.append(f"at {short(fields['where'])}")
    if device is not None:
        said.append(short(device))
    if "filesystem" in fields and fields["filesystem"] != device:
        said.append(short(fields["filesystem"]))
    if process is not None:
        whose = ""
        if happening.pod or happening.pod_uid:
            whose = f" of pod {happening.pod or f'with UID {happening.pod_uid}'}"
        said.append(f"task {printable(process)}{whose}")
    if "work" in fields and entry.name != "HungTasks":
        said.append(f"doing {short(fields['work'])}")
    return said


def _often(happening: Happening) -> str:
    return "" if happening.count == 1 else f", {happening.count} reports"


def _now(happening: Happening) -> str:
    if happening.kind == "HungTasks":
        if happening.still is True:
            return ", still waiting"
        return "" if happening.still is None else ", not waiting any more"
    if happening.kind == "FilesystemReadOnly" and happening.still is not None:
        return ", still mounted" if happening.still else ", not mounted any more"
    return ""


def _process(happening: Happening) -> str | None:
    task, pid = happening.fields.get("task"), happening.fields.get("pid")
    if task is None and pid is None:
        return None
    return f"{short(task)}[{pid}]" if pid is not None else short(task)


def _device(happening: Happening) -> str | None:
    fields = happening.fields
    if "cpu" in fields:
        return f"cpu{fields['cpu']}"
    if "pfn" in fields:
        return f"page frame {fields['pfn']}"
    return fields.get("device") or fields.get("pool") or fields.get("flavour")
