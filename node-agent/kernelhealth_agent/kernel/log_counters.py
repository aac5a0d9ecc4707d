"""What the kernel counts beside its log: reports that were lost, and reports that never were.

A report that was overwritten in the log, or never printed, still moves a counter or sets a taint
bit. Both are compared with the reports that were read.
"""

from __future__ import annotations

from dataclasses import replace

from kernelhealth_agent.kernel.log_catalogue import BY_NAME
from kernelhealth_agent.kernel.log_memory import Happening, Memory, Readings, bounded


def compared(memory: Memory, readings: Readings, now: float, *, is_first: bool) -> Memory:
    """Return a memory with what counters and taint bits tell beyond the reports that were read."""
    based, first = dict(memory.based), memory.first
    if is_first:
        first = readings
        for kind, entry in BY_NAME.items():
            if entry.counter is not None and entry.counter in readings.counters:
                said = memory.events.get(kind, 0)
                based[kind] = max(0, readings.counters[entry.counter] - said)
    memory = replace(memory, first=first, based=based)
    known = {(h.kind, h.key): h for h in memory.happenings}
    for kind, entry in BY_NAME.items():
        silent = _silent(memory, readings, kind)
        past = known.get((kind, "counted"))
        if entry.reason is None or not silent:
            known.pop((kind, "counted"), None)  # The report came after its counter.
        elif past is None:
            known[kind, "counted"] = Happening(kind, "counted", now, now, silent, before=is_first)
        elif silent > past.count:
            known[kind, "counted"] = replace(past, last=now, count=silent, before=False)
    return replace(
        memory,
        happenings=tuple(bounded(known.values(), now)),
        taints=_taints(memory, readings, now),
    )


def _silent(memory: Memory, readings: Readings, kind: str) -> int:
    """Return how many reports of a kind were counted or set a bit, and were not read.

    Of what was there before the first look only damage counts that lasts.
    """
    entry = BY_NAME[kind]
    said, based = memory.events.get(kind, 0), memory.based.get(kind, 0)
    if kind == "BadPageState":  # mm/slub.c sets the same bit.
        said += memory.events.get("KernelMemoryCorrupted", 0)
    if entry.counter is not None and entry.counter in readings.counters:
        beyond = readings.counters[entry.counter] - said - (0 if entry.lasts else based)
        return max(0, beyond)
    if entry.taint is None or readings.taint is None or said or kind == "KernelWarned":
        return 0
    bit = readings.taint >> entry.taint & 1
    was = (memory.first.taint or 0) >> entry.taint & 1
    # A machine check may be what the boot before left in the hardware.
    return int(bool(bit) and (not was or (entry.lasts and kind != "HardwareError")))


def _taints(memory: Memory, readings: Readings, now: float) -> dict[int, float]:
    """Return when each bit was first seen that was not there at the first look."""
    new = (readings.taint or 0) & ~(memory.first.taint or 0)
    if memory.first.taint is None:
        new = 0
    return {bit: memory.taints.get(bit, now) for bit in range(new.bit_length()) if new >> bit & 1}


def is_borne_out(kind: str, readings: Readings) -> bool | None:
    """Whether taint bit or counter bear out a report of that kind; None where neither can."""
    entry = BY_NAME[kind]
    if not entry.certain:
        return None
    votes = []
    if entry.counter is not None and entry.counter in readings.counters:
        votes.append(readings.counters[entry.counter] > 0)
    if entry.taint is not None and readings.taint is not None:
        votes.append(bool(readings.taint >> entry.taint & 1))
    return any(votes) if votes else None
