"""The inventory of 10,000 processes in 1,000 network namespaces, against ``lsns -t net``.

Both look at the same crowd in one run, in turn. Prints medians, ratios and the memory of the agent;
exits with 1 where a budget is not kept.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from kernelhealth_agent import inventory
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_e2e.faults.crowd import crowd

_MOST_OF_RIVAL = 0.5
_MOST_RESIDENT = 80


def main() -> int:
    """Measure, print a table, and say whether the budgets are kept."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: inventory.py -n 5")
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument("--namespaces", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=10_000)
    arguments = parser.parse_args()
    if os.geteuid():
        print("the crowd needs root: run it with sudo", file=sys.stderr)
        return 2
    print(f"starting {arguments.processes} processes in {arguments.namespaces} namespaces …")
    with crowd(arguments.namespaces, arguments.processes):
        return _compare(arguments.rounds)


def _compare(rounds: int) -> int:
    host = LiveHost("/")
    looks: dict[str, Callable[[], object]] = {
        "lsns -t net": lambda: subprocess.run(
            ["lsns", "-t", "net"], check=True, capture_output=True
        ),
        "inventory": lambda: inventory.take(host, datetime.now(UTC), {}, thorough=False),
        "inventory with descriptors": lambda: inventory.take(host, datetime.now(UTC), {}),
    }
    times: dict[str, list[float]] = {name: [] for name in looks}
    for _ in range(rounds):
        for name, look in looks.items():
            began = time.perf_counter()
            look()
            times[name].append(time.perf_counter() - began)
    seen = inventory.take(host, datetime.now(UTC), {}, thorough=False)
    print(f"\n{seen.processes} tasks, {len(seen.namespaces)} namespaces, {rounds} rounds in turn")
    rival = statistics.median(times["lsns -t net"])
    for name, took in times.items():
        median = statistics.median(took)
        print(f"  {name:28} {median:7.3f} s  {median / rival:5.2f} of lsns")
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"  resident at the most         {resident:5} MiB  (budget {_MOST_RESIDENT} MiB)")
    ratio = statistics.median(times["inventory"]) / rival
    kept = ratio <= _MOST_OF_RIVAL and resident <= _MOST_RESIDENT
    verdict = "kept" if kept else "NOT KEPT"
    print(f"  budget: at most {_MOST_OF_RIVAL} of lsns, measured {ratio:.2f}: {verdict}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
