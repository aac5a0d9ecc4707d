"""Memory of the host: /proc/meminfo, Documentation/filesystems/proc.rst 1.4."""

from __future__ import annotations

import re

from kernelhealth_agent import errors

_AVAILABLE = re.compile(rb"^MemAvailable:\s+(\d{1,15}) kB$", re.MULTILINE)


def available(text: bytes, path: str) -> int:
    """Return the bytes that programs can still get without swapping (Linux 3.14).

    Raises ``UnreadableError`` where there is no such line.
    """
    match = _AVAILABLE.search(text)
    if match is None:
        raise errors.UnreadableError(path, "it has no line MemAvailable")
    return int(match[1]) << 10
