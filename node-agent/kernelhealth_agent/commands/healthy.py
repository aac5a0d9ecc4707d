"""``healthy``: the liveness probe. Imports next to nothing, since it runs every few seconds."""

from __future__ import annotations

import argparse
import os
import sys

from kernelhealth_agent import liveness


def execute(asked: argparse.Namespace) -> int:
    """Return 0 if the running agent gave a sign of life lately, else 1, and say why."""
    directory = os.environ.get("KERNELHEALTH_RUN_DIR", "/run/kernelhealth")
    try:
        age = liveness.age(directory)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"The agent gave no sign of life in {directory}: {error}\n")
        return 1
    if age > asked.minutes * 60:
        sys.stderr.write(f"The agent gave its last sign of life {age:.0f} s ago.\n")
        return 1
    return 0
