"""An ordinary file in place of a network namespace, as a runtime that was killed leaves it."""

from __future__ import annotations

import argparse
import contextlib
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def dangling_file(directory: Path, name: str = "") -> Iterator[Path]:
    """Leave an empty file without any permission, as runtimes and ``ip netns`` make them."""
    directory.mkdir(parents=True, exist_ok=True)
    made = directory / (name or f"cni-{uuid.uuid4()}")
    made.touch(mode=0, exist_ok=False)
    try:
        yield made
    finally:
        made.unlink()


def main() -> None:
    """Leave a file until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="dangling_file", description=__doc__, epilog="example: dangling_file"
    )
    parser.add_argument("--directory", type=Path, default=Path("/run/netns"))
    arguments = parser.parse_args()
    with dangling_file(arguments.directory) as made:
        print(made, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
