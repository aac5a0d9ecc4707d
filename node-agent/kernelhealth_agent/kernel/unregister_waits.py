"""Devices that the kernel waits for in vain, by its log: net/core/dev.c, netdev_wait_allrefs_any.

The line comes after ten seconds and then every ten (``netdev_unregister_timeout_secs``, 5.13). One
is nothing: somebody was slow to let go. Meanwhile no other network namespace is destroyed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kernelhealth_agent.kernel import naming
from kernelhealth_agent.kernel.kmsg import Record

_LINE = re.compile(
    r"unregister_netdevice: waiting for (.{1,64}) to become free\. Usage count = (-?\d{1,10})"
)
SIGN = b"unregister_netdevice: waiting for "
"""What the log must have in it for a closer look to be worth while."""
_MOST_TIMES = 256
_MOST_DEVICES = 64


@dataclass(frozen=True, slots=True)
class Latest:
    """The last line about a device: its number in the log, and the uptime at which it was news."""

    sequence: int
    seen: float


@dataclass(frozen=True, slots=True)
class Wait:
    """A device that the kernel waits for.

    *times* are of the lines about it, in seconds by the clock of the log, in order; *references*
    is how many there still were in the last. *quiet* is for how many seconds no line was news.
    """

    device: str
    times: tuple[float, ...]
    references: int
    latest: Latest
    quiet: float

    def within(self, seconds: float) -> int:
        """Return how many lines there were in the time up to the last one, that one included."""
        return sum(time > self.times[-1] - seconds for time in self.times)

    @property
    def seconds(self) -> float:
        """How long it has been waited for by the lines that are still in the log."""
        return self.times[-1] - self.times[0]


def waits(
    records: Iterable[Record], past: Mapping[str, Latest] | None, uptime: float
) -> tuple[Wait, ...]:
    """Return the devices that the kernel itself says it waits for.

    The clock of the log runs apart from every other in the course of a long boot. Whether a line
    is news is therefore told by its number; by its time only where no look was before.
    """
    lines: dict[str, list[tuple[Record, int]]] = defaultdict(list)
    for record in records:
        found = _LINE.search(record.text) if record.is_kernels else None
        if found and (len(lines) < _MOST_DEVICES or found[1] in lines):
            lines[found[1]].append((record, int(found[2])))
    return tuple(_wait(device, seen, past, uptime) for device, seen in sorted(lines.items()))


def remembered(found: Iterable[Wait]) -> dict[str, Latest]:
    """Return what to remember of devices that are waited for."""
    return {wait.device: wait.latest for wait in found}


def _wait(
    device: str,
    lines: Sequence[tuple[Record, int]],
    past: Mapping[str, Latest] | None,
    uptime: float,
) -> Wait:
    lines = lines[-_MOST_TIMES:]
    last, references = lines[-1]
    before = (past or {}).get(naming.short(device))
    latest = Latest(last.sequence, uptime if past is not None else min(uptime, last.seconds))
    if before is not None and before.sequence == last.sequence:
        latest = before
    times = tuple(record.seconds for record, _ in lines)
    quiet = max(0.0, uptime - latest.seen)
    return Wait(naming.short(device), times, references, latest, quiet)
