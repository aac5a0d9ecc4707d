from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import pytest

from kernelhealth_agent.kernel.kmsg import Record

Spoken = Callable[..., tuple[Record, ...]]
_RAW = re.compile(r"<(\d+)>\[ *(\d+\.\d+)\] (.*)")


@pytest.fixture
def spoken() -> Spoken:
    """Make records of lines as dmesg --raw prints them; numbers go on from *start*."""

    def made(lines: Iterable[str], start: int = 100) -> tuple[Record, ...]:
        found = []
        for number, line in enumerate(lines):
            match = _RAW.fullmatch(line)
            assert match is not None, line
            priority = int(match[1])
            found.append(
                Record(priority & 7, priority >> 3, start + number, float(match[2]), match[3])
            )
        return tuple(found)

    return made
