"""Reads what the kernel says of itself: its log, its counters of reports, its taint bits."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.kernel_log import KernelLog
from kernelhealth_agent.kernel import (
    cgroups,
    kmsg,
    log_catalogue,
    log_counters,
    log_memory,
    taints,
)
from kernelhealth_agent.kernel.kernel_log import Sample
from kernelhealth_agent.kernel.log_memory import Happening, Memory, Readings
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.source import Occasion, Source

_COUNTERS = tuple(entry.counter for entry in log_catalogue.CATALOGUE.entries if entry.counter)
_WARNINGS = "proc/sys/kernel/hung_task_warnings"
_MOUNTS = "proc/1/mountinfo"
_MOST_TASKS = 64


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The part of the log that was not read before; None where there is no log to be read."""

    records: tuple[kmsg.Record, ...] | None
    lost: int


def collect(host: Host, occasion: Occasion[Memory]) -> Sample:
    """Read what is new in the log, and what the kernel counted meanwhile."""
    blind: list[str] = []
    past, now = occasion.memory or Memory(), occasion.moment.uptime
    # Counters first: what they count was printed when the log is read, or will never be.
    readings = _readings(host, blind)
    stretch = _stretch(host, past, blind)
    if stretch.records is None and not readings.counters and readings.taint is None:
        raise errors.AbsentError(kmsg.PATH)
    records = stretch.records or ()
    reading = log_catalogue.read(records)
    memory = replace(
        log_memory.merged(past, reading, now),
        sequence=records[-1].sequence if records else past.sequence,
        lost=past.lost + stretch.lost,
        modules={**taints.modules(records), **past.modules},
    )
    memory = log_counters.compared(memory, readings, now, is_first=occasion.memory is None)
    memory = replace(memory, happenings=_now(host, occasion.inventory, memory.happenings))
    blind += _held_back(reading, stretch.lost)
    blind += _silenced(host, readings)
    return Sample(
        moment=occasion.moment,
        memory=memory,
        # Read again: what the log told a moment ago set its bit a moment later.
        readings=_readings(host, []),
        blind=tuple(blind),
    )


def _readings(host: Host, blind: list[str]) -> Readings:
    counters, taint = {}, None
    for path in _COUNTERS:
        try:
            counters[path] = taints.value(host.read(path, 64), path)
        except errors.AbsentError:
            continue
        except errors.HostError as error:
            blind.append(str(error))
    try:
        taint = taints.value(host.read(taints.PATH, 64))
    except errors.AbsentError:
        taint = None
    except errors.HostError as error:
        blind.append(str(error))
    return Readings(counters, taint)


def _stretch(host: Host, past: Memory, blind: list[str]) -> _Stretch:
    try:
        stream = host.probe(KernelLog())
    except errors.AbsentError:
        return _Stretch(None, 0)
    except errors.ForbiddenError as error:
        blind.append(str(error))
        return _Stretch(None, 0)
    found = kmsg.records(stream, after=past.sequence)
    return _Stretch(found, kmsg.lost(found, past.sequence))


def _held_back(reading: log_catalogue.Reading, lost: int) -> list[str]:
    said = [
        f"the kernel held back {number} lines of {what}, which it prints only so often"
        for what, number in sorted(reading.suppressed.items())[:4]
    ]
    if lost:
        said.append(
            f"{lost} records of the kernel's log were overwritten before they were read: a larger"
            " log_buf_len on the kernel's command line keeps more of them"
        )
    return said


def _silenced(host: Host, readings: Readings) -> list[str]:
    """Say so where the kernel has stopped to report hung tasks, and does not count them either."""
    if log_catalogue.BY_NAME["HungTasks"].counter in readings.counters:
        return []
    with contextlib.suppress(errors.HostError):
        if host.read(_WARNINGS, 64).strip() == b"0":
            return [f"/{_WARNINGS} is 0: the kernel reports no more hung tasks; write 10 into it"]
    return []


def _now(
    host: Host, inventory: Inventory, happenings: tuple[Happening, ...]
) -> tuple[Happening, ...]:
    """Return happenings with what can be told of them now: whose task it is, whether it is so."""
    found, asked = [], 0
    mounted: frozenset[str] | None = None
    if any(happening.kind == "FilesystemReadOnly" for happening in happenings):
        mounted = _mounted(host)
    for happening in happenings:
        pid = happening.fields.get("pid")
        if happening.kind == "FilesystemReadOnly" and mounted is not None:
            still = happening.fields.get("device", "") in mounted
            found.append(replace(happening, still=still))
        elif happening.kind == "HungTasks" and pid and happening.still is not False:
            asked += 1
            known = _task(host, inventory, happening, pid) if asked <= _MOST_TASKS else happening
            found.append(known)
        else:
            found.append(happening)
    return tuple(found)


def _task(host: Host, inventory: Inventory, happening: Happening, pid: str) -> Happening:
    """Look at the task that hung: is it the same, does it still wait, in which pod is it."""
    try:
        stat = host.read(f"proc/{pid}/stat", 4096).decode(errors="replace")
    except errors.HostError:
        return replace(happening, still=False)
    comm, _, rest = stat.partition("(")[2].rpartition(")")
    # The name of a worker in the report lacks what it works on: kworker/u4:1 of kworker/u4:1+netns.
    same = comm.startswith(happening.fields.get("task", "\0")[:15])
    pod, uid = happening.pod, happening.pod_uid
    if same and uid is None:
        with contextlib.suppress(errors.HostError):
            known = cgroups.pod(host.read(f"proc/{pid}/cgroup"))
            uid = known[0] if known is not None else None
            named = inventory.pods.get(uid) if uid is not None else None
            pod = named.title if named is not None and named.name else None
    return replace(happening, still=same and rest.split()[:1] == ["D"], pod=pod, pod_uid=uid)


def _mounted(host: Host) -> frozenset[str] | None:
    """Return the names of the block devices that are mounted; None where nobody tells.

    Whether the kernel still writes to them is not told by all: an ext4 of Linux 6.13 that gave up
    is called rw there, as an XFS that was shut down is.
    """
    found = set()
    try:
        table = host.read(_MOUNTS).decode(errors="replace")
    except errors.HostError:
        return None
    for line in table.splitlines():
        above, _, below = line.partition(" - ")
        fields, filesystem = above.split(), below.split()
        if len(fields) > 2 and len(filesystem) > 1 and not fields[2].startswith("0:"):
            found.add(filesystem[1].rpartition("/")[2])
            with contextlib.suppress(errors.HostError):
                found.add(host.link(f"sys/dev/block/{fields[2]}").rpartition("/")[2])
    return frozenset(found)


SOURCE = Source(
    name="kernel_log",
    sample=Sample,
    reads=(kmsg.PATH, *sorted(_COUNTERS), taints.PATH, _WARNINGS, _MOUNTS),
    collect=collect,
    memory=Memory,
    remember=lambda sample: sample.memory,
)
