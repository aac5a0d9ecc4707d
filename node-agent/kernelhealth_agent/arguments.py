"""The command line: what can be asked for, and how. Light, for the probe that runs often."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from kernelhealth_agent import treating
from kernelhealth_agent.parsing import EXIT_UNUSABLE, Parser, count, minutes

EXIT_HEALTHY, EXIT_FINDINGS, EXIT_BLIND = 0, 1, EXIT_UNUSABLE


class _Version(argparse.Action):
    """Prints the version; it is looked up only then, since that takes its time."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        sys.stdout.write(f"{version()}\n")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """Return the parser; ``command`` names the module below ``commands``."""
    made = Parser(
        prog="kernelhealth-agent",
        description="Looks at what quietly goes wrong in the kernel of a container node.",
        epilog="Settings of 'run' come from the environment: KERNELHEALTH_NODE_NAME and others.",
    )
    made.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, examples, fill) in _COMMANDS.items():
        epilog = "examples:\n" + "\n".join(f"  kernelhealth-agent {line}" for line in examples)
        command = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"{epilog}\n\n{_EXIT_CODES[name]}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        fill(command)
    return made


def version() -> str:
    """Return the version of the installed distribution, or what stands for it in a source tree."""
    import importlib.metadata  # noqa: PLC0415 - The probe does without.

    try:
        return importlib.metadata.version("kernelhealth")
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"


def _run(_: argparse.ArgumentParser) -> None:
    """Everything about it is a setting."""


def _scan(command: argparse.ArgumentParser) -> None:
    _detectors(command)
    _output(command)
    command.add_argument(
        "--root",
        metavar="DIR",
        help="a recorded host, or where the root of the host is mounted (default: this machine)",
    )
    command.add_argument(
        "--confirm-after",
        metavar="DURATION",
        default="5s",
        help="time between the two looks that it takes to confirm a finding (default: 5s)",
    )
    command.add_argument(
        "--by",
        choices=("finding", "pod"),
        default="finding",
        help="show each finding once, or by pod, so that each pod has its own (default: finding)",
    )
    command.add_argument(
        "--watch",
        metavar="DURATION",
        nargs="?",
        const="30s",
        help="look again and again until Ctrl-C (default: every 30s); as JSON, an object a line",
    )


def _bench(command: argparse.ArgumentParser) -> None:
    _detectors(command)
    _output(command)
    command.add_argument("--rounds", type=count, default=5, help="how many (default: 5)")
    command.add_argument(
        "--thorough", action="store_true", help="look at every descriptor in each round"
    )


def _capture(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "detectors", metavar="DETECTOR", nargs="*", help="whose sample to record (default: all)"
    )
    command.add_argument(
        "--to", metavar="DIR", required=True, help="a directory that is empty or does not exist"
    )
    command.add_argument(
        "--mask",
        action="store_true",
        help="replace addresses and names of pods, links and mounts, the same by the same",
    )
    command.add_argument(
        "--state",
        metavar="DIR",
        default="/run/kernelhealth",
        help="where the agent of this machine keeps what it remembers (default: /run/kernelhealth)",
    )


def _explain(command: argparse.ArgumentParser) -> None:
    _output(command)
    text = "a reason or a cause, in any spelling of capitals (default: list them all)"
    command.add_argument("name", metavar="REASON|CAUSE", nargs="?", help=text)


def _healthy(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--minutes",
        type=minutes,
        default=5.0,
        help="how old the sign of life of the running agent may be (default: 5)",
    )


def _detectors(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--detector",
        metavar="NAME",
        action="extend",
        nargs="+",
        default=[],
        help="only these detectors (default: all)",
    )


def _output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--output", choices=("table", "json"), default="table")


_Entry = tuple[str, Sequence[str], Callable[[argparse.ArgumentParser], None]]
_COMMANDS: dict[str, _Entry] = {
    "run": (
        "look at this node again and again, and report to its NodeKernelHealth object",
        ["run"],
        _run,
    ),
    "scan": (
        "look at this machine now, with or without Kubernetes",
        [
            "scan",
            "scan --output json --detector network_namespaces",
            "scan --by pod --watch 10s",
            "scan --root tests/fixtures/hosts/gssproxy-in-a-container",
        ],
        _scan,
    ),
    "treat": (treating.TEXT, treating.EXAMPLES, treating.fill),
    "bench": (
        "measure what rounds cost on this machine",
        ["bench", "bench --rounds 20 --output json"],
        _bench,
    ),
    "capture": (
        "record what detectors read of this machine, as a test fixture",
        [
            "capture --to recorded --mask",
            "capture residual_links --to tests/fixtures/hosts/residual_links-on-my-node",
        ],
        _capture,
    ),
    "explain": (
        "tell what a reason or a cause means, how to check it, and what to do",
        ["explain", "explain NetworkNamespaceLeaked", "explain gssproxypin --output json"],
        _explain,
    ),
    "healthy": (
        "tell whether the running agent makes its rounds, as a liveness probe",
        ["healthy --minutes 5"],
        _healthy,
    ),
}
_EXIT_CODES = {
    "run": "exit codes: 0 stopped by a signal, 2 could not start",
    "scan": "exit codes: 0 healthy (or findings of severity Info only), 1 findings,\n"
    "            2 could not look: bad usage, or a detector's condition is Unknown although\n"
    "              the host has what it needs, or none is known (even if others found something)",
    "treat": treating.EXIT_CODES,
    "bench": "exit codes: 0 measured, 2 could not look",
    "capture": "exit codes: 0 recorded, 2 could not record",
    "explain": "exit codes: 0 explained, 2 there is no such reason or cause",
    "healthy": "exit codes: 0 alive, 1 not",
}
