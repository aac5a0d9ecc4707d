r"""Records of the kernel's log, /dev/kmsg: Documentation/ABI/testing/dev-kmsg (Linux 3.5).

A record is a line of its number and one of text, then lines of what it belongs to::

    6,194,292230,-,caller=T1;acpi PNP0A08:00: platform retains control of PCIe features
     SUBSYSTEM=acpi
     DEVICE=+acpi:PNP0A08:00

The fields are the syslog priority with its facility, the number of the record in this boot, the
time since boot in microseconds (the clock of printk, which stands still while the machine is
suspended), and flags. Whatever does not print is written as ``\x0a``, so that a line of the stream
begins with a space only where it carries on the record above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kernelhealth_agent import errors

NAME = "kmsg"
"""The name of the probe that asks for the records."""
PATH = "dev/kmsg"
KERNEL = 0
"""The facility in which the kernel speaks. What others write into the log has another one:
kernel/printk/printk.c, devkmsg_write, turns 0 into 1 (user)."""

_HEADER = re.compile(rb"(\d{1,10}),(\d{1,20}),(\d{1,20}),([^,;]*)(?:,([^;]*))?;(.*)", re.DOTALL)
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Record:
    """One message. *priority* is the level alone, 0 (emergency) to 7 (debug).

    *seconds* are since boot, *device* what its subsystem calls the device it is about
    (``+pci:0000:00:10.0``, ``n3`` for interface 3, ``b8:0``, ``c1:3``), *caller* the thread
    (``T17``) or processor (``C1``) that printed it, where the kernel was built to say so
    (CONFIG_PRINTK_CALLER, Linux 5.1). *text* may be of several lines.
    """

    priority: int
    facility: int
    sequence: int
    seconds: float
    text: str
    device: str | None = None
    caller: str | None = None

    @property
    def is_kernels(self) -> bool:
        """Whether the kernel said it, and not a program that wrote into the kernel's log."""
        return self.facility == KERNEL


def records(stream: bytes, path: str = PATH, after: int = -1) -> tuple[Record, ...]:
    """Return the records with a larger number than *after*, in the order of the stream.

    Raises ``UnreadableError`` for a line that neither begins a record nor carries one on.
    """
    start = _start(stream, after)
    return tuple(_records(stream[start:], path, after, stream.count(b"\n", 0, start)))


def lost(found: Sequence[Record], after: int = -1) -> int:
    """Return how many records are missing by their numbers, between *after* and the last.

    Without *after* those are not counted that came before the first.
    """
    if not found:
        return 0
    first = found[0].sequence if after < 0 else after + 1
    return max(0, found[-1].sequence - first + 1 - len(found))


def _start(stream: bytes, after: int) -> int:
    """Return where the record *after* begins, before which nothing is wanted; 0 for nowhere."""
    found = (
        re.search(rb"^\d{1,10},%d,\d{1,20}," % after, stream, re.MULTILINE) if after > 0 else None
    )
    return found.start() if found else 0


def _records(stream: bytes, path: str, after: int, above: int) -> Iterator[Record]:
    current: Record | None = None
    device: str | None = None
    for number, line in enumerate(stream.split(b"\n"), above + 1):
        if line.startswith(b" "):
            if line.startswith(b" DEVICE="):
                device = _text(line[8:])
            continue
        if current is not None:
            yield _with(current, device)
            current = None
        if line:
            device = None
            current = _begun(line, path, number, after)
    if current is not None:
        yield _with(current, device)


def _begun(line: bytes, path: str, number: int, after: int) -> Record | None:
    match = _HEADER.fullmatch(line)
    if match is None:
        raise errors.UnreadableError(path, "a line has no priority, number and time", number)
    sequence = int(match[2])
    if sequence <= after:
        return None
    priority = int(match[1])
    caller = match[5] or b""
    return Record(
        priority=priority & 7,
        facility=priority >> 3,
        sequence=sequence,
        seconds=int(match[3]) / 1e6,
        text=_text(match[6]),
        caller=_text(caller[7:]) if caller.startswith(b"caller=") else None,
    )


def _with(record: Record, device: str | None) -> Record:
    if device is None:
        return record
    return Record(
        record.priority,
        record.facility,
        record.sequence,
        record.seconds,
        record.text,
        device,
        record.caller,
    )


def _text(raw: bytes) -> str:
    plain = _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), raw) if b"\\" in raw else raw
    return plain.decode(errors="replace")
