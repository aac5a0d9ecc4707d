"""Waits in the agent's container until the agent has looked so often, by the metric that counts.

Arguments: how many times, and for how many seconds at most. Nothing tells when a number changes.
"""

from __future__ import annotations

import sys
import time
import urllib.request

_METRICS = "http://127.0.0.1:9469/metrics"
_SERIES = "kernelhealth_rounds_total{"
_PAUSE_SECONDS = 1.0


def count() -> float:
    """Return how often it has looked since it started, for whatever reason."""
    with urllib.request.urlopen(_METRICS, timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(_SERIES))


def main() -> None:
    """Wait; exit with a sentence when the time is over."""
    times, seconds = int(sys.argv[1]), float(sys.argv[2])
    first, deadline = count(), time.monotonic() + seconds
    while (looked := count() - first) < times:
        if time.monotonic() > deadline:
            sys.exit(f"the agent has looked {looked:.0f} times in {seconds:.0f} s, not {times}")
        time.sleep(_PAUSE_SECONDS)  # A metric can be asked for, and tells nobody of a change.
    print(f"looked {looked:.0f} times")


if __name__ == "__main__":
    main()
