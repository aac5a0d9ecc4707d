"""The clock that leases are judged by."""

from __future__ import annotations

import time


def boot_clock() -> float:
    """Seconds since boot, suspended time included: it neither steps nor stands still.

    A virtual machine that its host stops does not see the time pass; against that only the
    resourceVersion in each write helps.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)
