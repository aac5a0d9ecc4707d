"""What taints a kernel, and who: /proc/sys/kernel/tainted.

Documentation/admin-guide/tainted-kernels.rst and include/linux/panic.h name the bits. A bit that is
set stays set until the next boot. Most say which modules were loaded, some that the kernel has been
hurt since.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel.kmsg import Record

PATH = "proc/sys/kernel/tainted"
MACHINE_CHECK, BAD_PAGE, DIED, WARNED, LOCKUP = 4, 5, 7, 9, 14


@dataclass(frozen=True, slots=True)
class Taint:
    """One bit: its number, the letter that the kernel prints for it, and what set it."""

    bit: int
    letter: str
    meaning: str


_MEANINGS = (
    "P a proprietary module was loaded",
    "F a module was loaded by force",
    "S the processor or system is out of its specification",
    "R a module was removed by force",
    "M a processor reported a machine check",
    "B a page or a kernel object was found in a bad state",
    "U a program asked for the taint",
    "D the kernel died in an oops or BUG and went on",
    "A an ACPI table was overridden",
    "W the kernel warned of itself",
    "C a staging driver was loaded",
    "I a bug of the firmware was worked around",
    "O an out-of-tree module was loaded",
    "E an unsigned module was loaded",
    "L a processor was locked up",
    "K the kernel was patched while running",
    "X the distribution says so",
    "T the kernel was built with randomised structures",
    "N a test was run in the kernel",
    "J a program changed a device through fwctl",
)
# kernel/module/main.c, kernel/module/signing.c, kernel/livepatch/core.c.
_MODULES = (
    ("P", re.compile(r"(\S{1,56}): module license '.*' taints kernel\.$")),
    ("O", re.compile(r"(\S{1,56}): loading out-of-tree module taints kernel\.$")),
    ("E", re.compile(r"(\S{1,56}): module verification failed: .* tainting kernel$")),
    ("C", re.compile(r"(\S{1,56}): module is from the staging directory")),
    ("K", re.compile(r"(\S{1,56}): tainting kernel with TAINT_LIVEPATCH$")),
)


def value(content: bytes, path: str = PATH) -> int:
    """Return the bits of a kernel; ``UnreadableError`` where the file holds no such number."""
    text = content.strip()
    if not text.isdigit() or len(text) > 20:
        raise errors.UnreadableError(path, f"{text[:32]!r} is no number of bits")
    return int(text)


def decoded(bits: int) -> tuple[Taint, ...]:
    """Return each bit that is set; one that no kernel known has is named by its number."""
    return tuple(
        Taint(bit, _MEANINGS[bit][0], _MEANINGS[bit][2:])
        if bit < len(_MEANINGS)
        else Taint(bit, "?", f"bit {bit}, which is not known, was set")
        for bit in range(bits.bit_length())
        if bits >> bit & 1
    )


def modules(found: Iterable[Record]) -> dict[str, str]:
    """Return the first module that the log blames, by the letter of the taint."""
    blamed: dict[str, str] = {}
    for record in found:
        if record.is_kernels and ("taint" in record.text or "staging" in record.text):
            for letter, pattern in _MODULES:
                match = pattern.match(record.text)
                if match is not None:
                    blamed.setdefault(letter, match[1])
    return blamed
