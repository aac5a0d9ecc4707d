"""What the command ``treat`` can be told, and what it answers by its exit code."""

from __future__ import annotations

import argparse

TEXT = "show what could be done about what a scan of this machine finds, and do it with --yes"
EXAMPLES = ("treat", "treat --yes", "treat DropCaches --yes", "treat --output json")
EXIT_CODES = """\
exit codes: 0 there is nothing to treat, or with --yes all of it was achieved,
            1 there is something to treat, or with --yes something was not achieved,
            2 bad usage, could not look, or somebody else is treating this machine"""


def fill(command: argparse.ArgumentParser) -> None:
    """Add what the command can be told."""
    command.add_argument(
        "fixes", metavar="FIX", nargs="*", help="only these, risky ones included (default: all)"
    )
    how = command.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="do nothing (that is the default)")
    how.add_argument("--yes", action="store_true", help="do it")
    command.add_argument("--output", choices=("table", "json"), default="table")
    command.add_argument(
        "--root",
        metavar="DIR",
        help="a recorded host, to which nothing can be done (default: this machine)",
    )
    command.add_argument(
        "--confirm-after",
        metavar="DURATION",
        default="5s",
        help="time between the two looks that it takes to confirm a finding (default: 5s)",
    )
