"""Hears when the kernel logs an error, and no more often than is good for the agent.

A record wakes whoever polls, whatever it says: a kernel that prints a thousand lines a second would
keep the agent busy with nothing else. After each time of reading there is a pause.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable

from kernelhealth_agent.kernel import kmsg

ERROR = 3
"""The least urgent level that is news: include/linux/kern_levels.h, KERN_ERR."""
PAUSE = 5.0
"""Seconds for which nothing is read after something was."""
_LARGEST_RECORD = 8192
_MOST_READS = 512
_LOGGER = logging.getLogger(__name__)


class LogNews:
    """The end of the kernel's log below *root*: what was there before is no news.

    *clock* tells seconds that only go forward.
    """

    def __init__(self, root: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._descriptor = _opened(f"{root.rstrip('/')}/{kmsg.PATH}")
        self._deaf_until = clock()

    def close(self) -> None:
        """Close the log."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def descriptor(self) -> int | None:
        """What to poll for input now; None during a pause, and where there is no log."""
        return self._descriptor if self.pause == 0 else None

    @property
    def pause(self) -> float:
        """For how many seconds nothing is to be polled."""
        return 0.0 if self._descriptor is None else max(0.0, self._deaf_until - self._clock())

    def took(self) -> bool:
        """Read what is there, begin a pause, and return whether the kernel logged an error.

        What programs write into the log is none of the kernel's. Overwritten records may have been
        anything, so they are news.
        """
        self._deaf_until = self._clock() + PAUSE
        if self._descriptor is None:
            return False
        news = False
        for _ in range(_MOST_READS):
            try:
                record = os.read(self._descriptor, _LARGEST_RECORD)
            except BlockingIOError:
                return news
            except OSError as error:
                if error.errno == errno.EPIPE:
                    news = True
                elif error.errno != errno.EINVAL:
                    _LOGGER.warning("Kernel's log is not heard any more: why=%s", error)
                    self.close()
                    return news
                continue
            if not record:
                return news
            news = news or _is_error(record)
        # More than that in one go: whatever comes next will do.
        os.lseek(self._descriptor, 0, os.SEEK_END)
        return True


def _is_error(record: bytes) -> bool:
    priority = record.split(b",", 1)[0]
    # Below 8 the facility is 0, the kernel's: what is left is the level.
    return priority.isdigit() and int(priority) <= ERROR


def _opened(path: str) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        _LOGGER.warning("Kernel's log was refused, its errors wait for a round: why=%s", error)
        return None
    try:
        os.lseek(descriptor, 0, os.SEEK_END)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
