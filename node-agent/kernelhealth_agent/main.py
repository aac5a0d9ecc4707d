"""The command line of the agent."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from kernelhealth_agent import arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; each loads only what it needs."""
    asked = arguments.parser().parse_args(argv)
    command = importlib.import_module(f"kernelhealth_agent.commands.{asked.command}")
    try:
        code: int = command.execute(asked)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read has read enough; what is still buffered shall not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


if __name__ == "__main__":
    sys.exit(main())
