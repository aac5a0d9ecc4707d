"""The kernel's own log, record by record: Documentation/ABI/testing/dev-kmsg (Linux 3.5)."""

from __future__ import annotations

import errno
import os
from collections import deque
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import kmsg

LARGEST_RECORD = 8192
"""Bytes; the kernel prints no record into more (kernel/printk/printk.c: CONSOLE_EXT_LOG_MAX)."""
MOST_RECORDS = 1 << 18
MOST_BYTES = 4 << 20
"""Decoded it takes ten times as much, and the agent has to get along with little."""


@dataclass(frozen=True, slots=True)
class KernelLog:
    """Every record that the kernel still has, oldest first, as ``kernel.kmsg`` decodes them.

    Where the kernel overwrites records while they are read, and where there are more than
    *MOST_BYTES* of them, the oldest are missing: the numbers of the records show the gap. Opening
    the log again always begins at the oldest record, so that nobody takes it away from others.
    """

    @property
    def name(self) -> str:
        """The name of the question."""
        return kmsg.NAME

    def ask(self, root: str) -> bytes:
        """Read without ever waiting; ``OSError``, or ``ForbiddenError`` without CAP_SYSLOG."""
        path = f"{root.rstrip('/')}/{kmsg.PATH}"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError as error:
            raise errors.ForbiddenError(kmsg.PATH, "CAP_SYSLOG, or the device itself") from error
        try:
            return b"".join(_records(descriptor))
        finally:
            os.close(descriptor)


def _records(descriptor: int) -> deque[bytes]:
    """Read what is there, a record a time, as the device gives it."""
    found: deque[bytes] = deque()
    size = 0
    # The bound ends a race with someone who writes faster than this reads.
    for _ in range(MOST_RECORDS):
        try:
            record = os.read(descriptor, LARGEST_RECORD)
        except BlockingIOError:
            break
        except BrokenPipeError:
            continue  # Overwritten before it was read: the next read gives the oldest there is.
        except OSError as error:
            if error.errno != errno.EINVAL:  # A record too large for the buffer is passed over.
                raise
            continue
        if not record:
            break
        found.append(record)
        size += len(record)
        while size > MOST_BYTES:
            size -= len(found.popleft())
    return found
