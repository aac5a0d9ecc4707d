"""How what is written on the command line is taken, and refused."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

EXIT_UNUSABLE = 2


class Parser(argparse.ArgumentParser):
    """A parser that keeps examples as they were written, and ends with 2 for bad usage."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong as a sentence, and where to read more."""
        self.exit(EXIT_UNUSABLE, f"{self.prog}: {message}; see {self.prog} --help\n")


def count(text: str) -> int:
    """Return a number of things; ``ArgumentTypeError`` for anything else."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return int(text)


def minutes(text: str) -> float:
    """Return a number of minutes; ``ArgumentTypeError`` for anything else."""
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text):
        raise argparse.ArgumentTypeError("must be a number of minutes such as 5 or 0.5")
    return float(text)
