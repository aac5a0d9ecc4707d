"""The command line: what can be asked for, and how."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

from kernelhealth_kubectl.complaints import EXIT_UNUSABLE

PROGRAM = "kubectl kernelhealth"
_CODES = """\
exit codes: 0 done, 1 refused: it has ended, somebody was faster, or the API server says no,
            2 could not ask: bad usage, an unknown name, no right, no cluster"""


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong as a sentence, and where to read more."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_UNUSABLE, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser; ``verb`` names what is asked for."""
    made = _Parser(
        prog=PROGRAM,
        description="Tells what happens to nodes and why, and takes a person's word about it.",
        epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = made.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (text, examples, fill) in _VERBS.items():
        epilog = "examples:\n" + "\n".join(f"  {PROGRAM} {line}" for line in examples)
        verb = verbs.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"{epilog}\n\n{_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        fill(verb)
        verb.add_argument("--kubeconfig", metavar="FILE", help="as kubectl's (default: the same)")
        verb.add_argument("--context", metavar="NAME", help="as kubectl's (default: its current)")
    return made


def _output(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--output", "-o", choices=("table", "json"), default="table")


def _explain(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("node", metavar="NODE")
    _output(verb)


def _list(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--all", action="store_true", help="nodes that are well, too")
    _output(verb)


def _show(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("name", metavar="NODE|REMEDIATION")
    _output(verb)


def _say(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("name", metavar="NODE|REMEDIATION")
    verb.add_argument("--because", metavar="WHY", help="kept with your name on the object")
    _writing(verb)


def _scope(verb: argparse.ArgumentParser) -> None:
    text = "leave these nodes out: a treatment under way ends, and they are given back"
    verb.add_argument("nodes", metavar="NODE", nargs="*", help=text)
    verb.add_argument("--policy", metavar="NAME", action="append", default=[], help="this policy")
    verb.add_argument("--all", action="store_true", help="every policy: nothing moves anywhere")


def _pause(verb: argparse.ArgumentParser) -> None:
    _scope(verb)
    verb.add_argument("--because", metavar="WHY", required=True, help="shown to whoever waits")
    _writing(verb)


def _resume(verb: argparse.ArgumentParser) -> None:
    _scope(verb)
    verb.add_argument("--everybody", action="store_true", help="pauses of other people, too")
    _writing(verb)


def _writing(verb: argparse.ArgumentParser) -> None:
    text = "whose word it is (default: the user that the API server knows you as)"
    verb.add_argument("--by", metavar="WHO", help=text)
    text = "change nothing: print the kubectl command that does the same"
    verb.add_argument("--dry-run", action="store_true", help=text)


_Entry = tuple[str, Sequence[str], Callable[[argparse.ArgumentParser], None]]
_VERBS: dict[str, _Entry] = {
    "explain": (
        "tell why a node is treated or not: each check of each rule, with its answer",
        ["explain worker-7", "explain worker-7 --output json"],
        _explain,
    ),
    "list": (
        "list the nodes with findings, their treatments, and what they wait for until when",
        ["list", "list --all --output json"],
        _list,
    ),
    "show": (
        "show a node or a treatment: findings, actions, and what would come of it",
        ["show worker-7", "show worker-7-1"],
        _show,
    ),
    "approve": (
        "let a treatment begin that was proposed",
        ["approve worker-7", "approve worker-7-1 --dry-run"],
        _say,
    ),
    "reject": (
        "end a treatment that has not begun",
        ["reject worker-7 --because 'its disks are replaced on Monday'"],
        _say,
    ),
    "cancel": (
        "end a treatment at any time: the node is given back, and let be for a while",
        ["cancel worker-7", "cancel worker-7 --because 'we look at it ourselves'"],
        _say,
    ),
    "pause": (
        "stop a policy, or leave nodes out, and say why",
        [
            "pause --all --because 'moving racks until 18:00'",
            "pause --policy workers --because 'release in progress'",
            "pause worker-7 --because 'being debugged'",
        ],
        _pause,
    ),
    "resume": (
        "end your pauses of a policy, or take nodes in again",
        ["resume --all", "resume --policy workers --everybody", "resume worker-7"],
        _resume,
    ),
}
