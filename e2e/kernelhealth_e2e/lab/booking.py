"""A reboot that is booked for the last maintenance window before a forecast: windows, and waiting.

The windows open once a year, so that no other comes in between.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from kernelhealth_e2e.lab.bench import SECONDS

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.observing import Object

LAST_WINDOW = "the last maintenance window before the forecast"
_AHEAD = timedelta(seconds=150)


def soon(now: datetime) -> datetime:
    """Return the full minute in two minutes or so: time enough for what comes before a reboot."""
    return (now.astimezone(UTC) + _AHEAD).replace(second=0, microsecond=0)


def windows(*openings: datetime) -> list[dict[str, str]]:
    """Return a window for each opening, whose seconds do not count."""
    moments = (opens.astimezone(UTC) for opens in openings)
    return [
        {"schedule": f"{then:%-M %-H %-d %-m} *", "duration": "30m", "timeZone": "UTC"}
        for then in moments
    ]


def is_booked(treatment: Object) -> bool:
    """Tell whether a NodeRemediation waits for the window that the forecast made it choose."""
    return f"{LAST_WINDOW} opens" in treatment.get("status", {}).get("waitingFor", "")


def booked(bench: Bench, treatment: str) -> Object:
    """Wait until a NodeRemediation waits for that window, and return its status."""
    what = f"it waits for {LAST_WINDOW}"
    waiting = bench.scene.observer.wait("noderemediation", treatment, what, is_booked, SECONDS)
    return dict(waiting["status"])
