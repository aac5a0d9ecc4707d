"""What a running agent costs: on this machine as it is, and beside 10,000 processes.

Starts ``kernelhealth-agent run`` without a cluster, with the default periods, and reads its CPU
time and resident memory from procfs. Prints a table; exits with 1 where a budget is not kept.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from kernelhealth_e2e.faults.crowd import crowd

_MOST_IDLE = 0.5
_MOST_RESIDENT = 80
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """Percent of one core, and MiB at the most."""

    percent: float
    resident: int


def main() -> int:
    """Measure, print a table, and say whether the budgets are kept."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: agent_idle.py 130")
    parser.add_argument("seconds", type=int, nargs="?", default=190)
    seconds = parser.parse_args().seconds
    if os.geteuid():
        print("the crowd needs root: run it with sudo", file=sys.stderr)
        return 2
    print(f"two agents in turn, {seconds} s each, at the default period …", flush=True)
    idle = _measured(seconds)
    print(f"  this machine                       {idle.percent:5.2f} %  {idle.resident:4} MiB")
    with crowd(1000, 10_000):
        busy = _measured(seconds)
    print(f"  and 10,000 processes, 1,000 netns  {busy.percent:5.2f} %  {busy.resident:4} MiB")
    kept = idle.percent <= _MOST_IDLE and busy.resident <= _MOST_RESIDENT
    budget = f"idle at most {_MOST_IDLE} % of a core, resident at most {_MOST_RESIDENT} MiB"
    print(f"  budget: {budget}: {'kept' if kept else 'NOT KEPT'}")
    return 0 if kept else 1


def _measured(seconds: int) -> Cost:
    """Return the cost after the first round, which pays for the start."""
    with tempfile.TemporaryDirectory() as directory:
        environ = {
            **os.environ,
            "KERNELHEALTH_RUN_DIR": directory,
            "KERNELHEALTH_METRICS_ADDRESS": "127.0.0.1",
            "KERNELHEALTH_METRICS_PORT": "0",
        }
        command = [sys.executable, "-m", "kernelhealth_agent.main", "run"]
        with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as agent:
            try:
                # The measured time is the point here, so that a timer is the event.
                timer = threading.Event()
                timer.wait(10)
                before = _cpu(agent.pid)
                timer.wait(seconds)
                used = _cpu(agent.pid) - before
                resident = _status(agent.pid, "VmHWM") // 1024
            finally:
                with contextlib.suppress(ProcessLookupError):
                    agent.send_signal(signal.SIGTERM)
    return Cost(100 * used / seconds, resident)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/status has no {name}")


if __name__ == "__main__":
    sys.exit(main())
