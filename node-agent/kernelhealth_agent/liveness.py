"""The sign of life: a file in the run directory, written each round, read by the exec probe.

The network is no part of it: a node whose loopback is down still has to be looked at.
"""

from __future__ import annotations

import os
import time

FILE = "alive"


def touch(directory: str) -> None:
    """Write the uptime of this moment; ``OSError`` where that is not possible."""
    temporary = os.path.join(directory, f".{FILE}.new")  # noqa: PTH118 - pathlib loads slowly.
    with open(temporary, "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(f"{time.clock_gettime(time.CLOCK_BOOTTIME)}\n")
    os.replace(temporary, os.path.join(directory, FILE))  # noqa: PTH105, PTH118


def age(directory: str) -> float:
    """Return the seconds since the last sign of life.

    Raises ``OSError`` where there is none, ``ValueError`` where it makes no sense. Measured by the
    uptime, so that a clock that is set kills nobody.
    """
    with open(os.path.join(directory, FILE), encoding="ascii") as file:  # noqa: PTH118, PTH123
        given = float(file.read(64))
    passed = time.clock_gettime(time.CLOCK_BOOTTIME) - given
    if not passed >= 0:
        raise ValueError(f"{given} s of uptime is still to come: it is of an earlier boot")
    return passed
