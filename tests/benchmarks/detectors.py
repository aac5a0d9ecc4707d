"""All detectors together on a busy node, against what a person would type there.

The node has 1,000 network namespaces with 500 mounts each, 10,000 processes, and 2,000 sockets in
each of ten namespaces. Rounds are made as the patrol makes them, in the period that it can afford
and each source in its own; but the minutes are not waited for. The rival looks once at the same:
``lsns -t net``, and in every namespace ``ss -tinaH`` and the mount table.

Prints a table; exits with 1 where a budget is not kept.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernelhealth_agent import attribution, catalogue, looking, moments, thresholds
from kernelhealth_agent.examination import Knowledge
from kernelhealth_agent.pacing import affordable
from kernelhealth_agent.survey import Effort, Surveyor
from kernelhealth_e2e.faults.crowd import Load, crowd

_PERIOD = 60.0
_ROUNDS = 20
_INVENTORY, _QUICK_INVENTORY = "the inventory", "a quick inventory"
_MOST_SECONDS, _MOST_PERCENT, _MOST_RESIDENT = 1.0, 1.0, 96
_WARM = 3
_DEADLINE = 300.0


@dataclass
class Costs:
    """Processor seconds: of each round, and of each look that a source took."""

    rounds: list[float] = field(default_factory=list)
    periods: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)
    looks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[str, str] = field(default_factory=dict)

    def pair(self, pair: catalogue.Pair) -> catalogue.Pair:
        """Return a pair whose looks are counted."""
        source, detector = pair
        collect = self.counted(source.name, source.collect)
        return dataclasses.replace(source, collect=collect), detector

    def counted(self, name: str, look: Callable[..., Any]) -> Callable[..., Any]:
        """Return a look that is counted; it runs in a thread of its own."""

        def counted(*arguments: Any) -> Any:
            before, children = time.thread_time(), _children_seconds()
            try:
                return look(*arguments)
            finally:
                used = time.thread_time() - before + _children_seconds() - children
                self.looks[name].append(used)

        return counted


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _seconds() -> float:
    return time.process_time() + _children_seconds()


def _left() -> dict[str, int]:
    """Return how many descriptors, threads and children this process has."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(1.0)  # Those that have answered are about to end.
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(threading.enumerate()),
        "children": sum(_children(task) for task in Path("/proc/self/task").iterdir()),
    }


def _children(task: Path) -> int:
    """Return how many children a thread has; none where it ended meanwhile."""
    try:
        return len((task / "children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return 0


def look(rounds: int) -> dict[str, Any]:
    """Make rounds on this machine, and as many after events, and return the figures."""
    costs = Costs()
    pairs = tuple(costs.pair(pair) for pair in catalogue.every())
    surveyor = Surveyor(attribution.Places(), looking.THOROUGH_EVERY)
    examiner = looking.examiner(looking.host_at("/"), pairs, surveyor, _DEADLINE)
    surveys = {
        Effort.STEADY: costs.counted(_INVENTORY, surveyor),
        Effort.QUICK: costs.counted(_QUICK_INVENTORY, surveyor),
    }
    chosen = thresholds.in_force(examiner.rounds.detectors, {})
    knowledge, moment = Knowledge(), moments.now()

    def make(effort: Effort, spent: list[float]) -> None:
        nonlocal knowledge
        surveyor.effort = effort
        before = _seconds()
        made = dataclasses.replace(examiner, survey=surveys[effort])
        outcome = made.examine(knowledge, chosen, moment)
        spent.append(_seconds() - before)
        surveyor.doubt = False
        knowledge = outcome.knowledge
        costs.failures |= {
            seen.detector.name: seen.failure.message for seen in outcome.round.looks if seen.failure
        }

    for _ in range(_WARM):
        make(Effort.STEADY, [])
        moment = moment.after(_PERIOD)
    costs.looks.clear()
    before, resident = _left(), _resident()
    for _ in range(rounds):
        make(Effort.STEADY, costs.rounds)
        period = affordable(_PERIOD, costs.rounds[-1])
        costs.periods.append(period)
        moment = moment.after(period / 4)
        make(Effort.QUICK, costs.events)
        moment = moment.after(period * 3 / 4)
    periods = {_INVENTORY: 0.0, _QUICK_INVENTORY: 0.0}
    figures = _figures(costs, periods | {source.name: source.period for source, _ in pairs})
    grown = {"left": {"before": before, "after": _left()}, "residentBefore": resident}
    return figures | grown | {"residentAfter": _resident(), "resident": _peak()}


def _figures(costs: Costs, periods: Mapping[str, float]) -> dict[str, Any]:
    by_name = {}
    for name, period in periods.items():
        spent = costs.looks[name] or [0.0]
        by_name[name] = {
            "cpuSeconds": statistics.median(spent),
            "most": max(spent),
            "looks": len(costs.looks[name]),
            "period": period,
            "percent": 100 * sum(spent) / sum(costs.periods),
        }
    return {
        "rounds": len(costs.rounds),
        "steady": statistics.median(costs.rounds),
        "most": max(costs.rounds),
        "event": statistics.median(costs.events),
        "period": statistics.median(costs.periods),
        "percent": 100 * sum(costs.rounds) / sum(costs.periods),
        "detectors": by_name,
        "failures": costs.failures,
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20), 1)


def rivals(leaders: Iterable[int]) -> dict[str, float]:
    """Return what it costs to ask the same by programs, in processor seconds, by their names."""
    leaders = tuple(leaders)

    def inside(program: Callable[[int], list[str]]) -> None:
        for leader in leaders:
            _run(program(leader))

    enter = "nsenter --net=/proc/{}/ns/net ss -tinaH"
    return {
        "lsns -t net": _cost(lambda: _run(["lsns", "-t", "net"])),
        f"nsenter ss -tinaH, {len(leaders)} times": _cost(
            lambda: inside(lambda leader: enter.format(leader).split())
        ),
        f"cat mountinfo, {len(leaders)} times": _cost(
            lambda: inside(lambda leader: ["cat", f"/proc/{leader}/mountinfo"])
        ),
    }


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _cost(run: Callable[[], None]) -> float:
    before = _children_seconds()
    run()
    return _children_seconds() - before


def main() -> int:
    """Measure, print a table, and say whether the budgets are kept."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: detectors.py -n 1000")
    parser.add_argument("-n", "--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--namespaces", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=10_000)
    parser.add_argument("--mounts", type=int, default=500, help="in each namespace")
    parser.add_argument("--sockets", type=int, default=2000, help="in each of ten namespaces")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(look(asked.rounds)))
        return 0
    if os.geteuid():
        print("the crowd needs root: run it with sudo", file=sys.stderr)
        return 2
    figures = _compared(asked)
    print(json.dumps(figures, indent=2) if asked.output == "json" else _table(figures))
    return 0 if all(kept for _, kept in _verdicts(figures)) else 1


def _compared(asked: argparse.Namespace) -> dict[str, Any]:
    load = Load(asked.mounts, asked.sockets, connected=10)
    command = [sys.executable, __file__, "--child", "--rounds", str(asked.rounds)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with crowd(asked.namespaces, asked.processes, load) as leaders:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
        figures: dict[str, Any] = json.loads(done.stdout)
        figures["rivals"] = rivals(leaders)
    return figures


def _verdicts(figures: dict[str, Any]) -> list[tuple[str, bool]]:
    before, after = figures["left"]["before"], figures["left"]["after"]
    return [
        (
            f"a steady round at most {_MOST_SECONDS:.1f} s of CPU: {figures['steady']:.3f} s",
            figures["steady"] <= _MOST_SECONDS,
        ),
        (
            f"at most {_MOST_PERCENT:.1f} % of a core: {figures['percent']:.2f} %",
            figures["percent"] <= _MOST_PERCENT,
        ),
        (
            f"at most {_MOST_RESIDENT} MiB resident: {figures['resident']} MiB",
            figures["resident"] <= _MOST_RESIDENT,
        ),
        (
            f"nothing left after {figures['rounds']} rounds: {after}",
            all(after[name] <= before[name] for name in before),
        ),
    ]


def _table(figures: dict[str, Any]) -> str:
    rival = sum(figures["rivals"].values())
    head = f"{'CPU of a look':>13} {'most':>9} {'looks':>6} {'period':>7} {'of a core':>10}"
    lines = ["", f"{'detector':22} {head}"]
    lines += [
        f"  {name:20} {each['cpuSeconds']:11.4f} s {each['most']:7.3f} s {each['looks']:6} "
        f"{each['period']:5.0f} s {each['percent']:8.3f} %"
        for name, each in sorted(figures["detectors"].items())
    ]
    lines += [f"  {name} could not look: {why}" for name, why in figures["failures"].items()]
    lines += [""]
    rows = {
        "a steady round": figures["steady"],
        "the dearest round": figures["most"],
        "a round after an event": figures["event"],
        **figures["rivals"],
        "all rivals": rival,
    }
    lines += [
        f"  {name:34} {cost:8.3f} s  {cost / rival:6.3f} of the rivals"
        for name, cost in rows.items()
    ]
    lines += [
        f"  a round every {figures['period']:.0f} s",
        f"  resident before {figures['residentBefore']} MiB, after {figures['residentAfter']} MiB",
        "",
    ]
    lines += [f"  {what}: {'kept' if kept else 'NOT KEPT'}" for what, kept in _verdicts(figures)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
