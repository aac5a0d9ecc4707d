"""Fuzzes a parser under the guidance of coverage: ``python -m kernelhealth_e2e.fuzzing btf.types``.

What follows the name goes to libFuzzer (-runs, -max_total_time, -seed, a directory with a corpus).
Ends with an error, and says with which bytes, where a parser raises anything but its errors.
"""

from __future__ import annotations

import sys

import atheris

from kernelhealth_e2e.fuzzing import targets

with atheris.instrument_imports(include=["kernelhealth_agent.kernel"]):
    EVERY = {target.name: target for target in targets.every()}

from kernelhealth_agent import errors


def main() -> None:
    """Fuzz the parser that is named first."""
    name = sys.argv.pop(1)

    def once(content: bytes) -> None:
        try:
            EVERY[name](content)
        except (errors.AbsentError, errors.UnreadableError):
            return

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
