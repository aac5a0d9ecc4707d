"""Removes a control group whose last process has ended."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path

_PATIENCE = 10.0


def dissolve(group: Path) -> None:
    """Remove a group, tried again while it is busy; ``OSError`` where it stays so for ten seconds.

    A process that was waited for may leave its group a moment later, and nothing tells when.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > until:
                raise
            threading.Event().wait(0.05)
        else:
            return
