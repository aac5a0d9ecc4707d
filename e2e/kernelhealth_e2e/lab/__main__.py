"""``make lab``: plays scenarios on kernels, shows the table, and writes down what was measured.

Exit status: 0 when every run passed, 1 when one did not, 2 when the lab cannot be played here.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kernelhealth_e2e import cache, installation, interruption, provision, runs
from kernelhealth_e2e.cache import Cache
from kernelhealth_e2e.cluster import Cluster, Settings
from kernelhealth_e2e.errors import UnavailableError
from kernelhealth_e2e.lab import playing, records, report, results, selection
from kernelhealth_e2e.lab.outcome import Outcome
from kernelhealth_e2e.lab.scenario import Scenario
from kernelhealth_e2e.lab.scenarios import SCENARIOS
from kernelhealth_e2e.lab.selection import SelectionError
from kernelhealth_e2e.progress import Progress

_EXAMPLE = "example: make lab SCENARIO=gssproxy KERNEL=6.12"
_JUNIT = Path("build/lab.xml")


def main() -> int:
    """Play what was asked for."""
    arguments = _parser().parse_args()
    progress = Progress()
    try:
        chosen = selection.chosen(SCENARIOS, arguments.scenario, arguments.kernel)
    except SelectionError as error:
        progress.say(str(error))
        return 2
    if arguments.list:
        Console().print(_listing(chosen))
        return 0
    try:
        with interruption.unwinding():
            outcomes = _play(progress, chosen)
    except KeyboardInterrupt:
        progress.say("interrupted; everything was torn down, and nothing was written down")
        return 130
    except UnavailableError as error:
        progress.say(f"the lab cannot be played here: {error}")
        return 2
    return _end(outcomes, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make lab",
        description="Failures of the kernel, made live on virtual machines that are Nodes.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--scenario", default="", help="only this scenario")
    parser.add_argument("--kernel", default="", help="only this kernel, by the lab's name")
    parser.add_argument("--list", action="store_true", help="only say what there is")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.add_argument("--junit", type=Path, default=_JUNIT, help="where JUnit's XML goes")
    parser.add_argument(
        "--no-record", action="store_true", help="leave docs/lab.md and docs/lab.json as they are"
    )
    return parser


def _play(progress: Progress, chosen: tuple[tuple[Scenario, str], ...]) -> tuple[Outcome, ...]:
    kept = Cache(cache.directory(os.environ))
    binaries = provision.for_node(os.environ, kept, progress)
    provision.for_virtual_machines(progress)
    settings = Settings(binaries, runs.base(os.environ), kept, progress)
    outcomes = list[Outcome]()
    with Cluster(settings) as cluster:
        with progress.step("installing the software under test"):
            installation.load_images(cluster)
            installation.apply(cluster)
        for scenario, kernel in chosen:
            played = playing.play(cluster, scenario, kernel)
            outcomes += played
            for outcome in played:
                progress.say(_verdict(outcome))
    return tuple(outcomes)


def _end(outcomes: tuple[Outcome, ...], arguments: argparse.Namespace) -> int:
    if arguments.output == "json":
        sys.stdout.write(results.dumps(outcomes))
    else:
        console = Console() if sys.stdout.isatty() else Console(width=160)
        console.print(report.table(outcomes))
    arguments.junit.parent.mkdir(parents=True, exist_ok=True)
    arguments.junit.write_text(report.junit(outcomes), encoding="utf-8")
    if not arguments.no_record:
        lock = arguments.junit.parent / ".lock-lab"
        records.write(installation.TREE / "docs", outcomes, lock)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    print(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed", file=sys.stderr)
    return 1 if failed else 0


def _verdict(outcome: Outcome) -> str:
    subject = outcome.subject
    title = f"{subject.scenario}/{subject.run} on {subject.kernel}"
    return f"{title}: passed" if outcome.passed else f"{title}: FAILED: {report.complaint(outcome)}"


def _listing(chosen: tuple[tuple[Scenario, str], ...]) -> Table:
    shown = Table("scenario", "kernel", "runs", "in each test run", title="The kernel lab")
    for scenario, kernel in chosen:
        names = ", ".join(run.name for run in scenario.on[kernel])
        shown.add_row(scenario.name, kernel, names, ", ".join(scenario.always.get(kernel, ())))
    return shown


if __name__ == "__main__":
    sys.exit(main())
