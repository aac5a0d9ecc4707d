"""Many network namespaces that end at once: slow to destroy, and healthy.

The kernel takes seconds for hundreds of them, during which a new one that ends has to wait for its
turn: a canary is late then, and nothing is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator

from kernelhealth_e2e.faults.crowd import crowd


@contextlib.contextmanager
def dying_namespaces(count: int) -> Iterator[None]:
    """Let *count* network namespaces end at once when the context begins."""
    with crowd(count, count):
        pass
    yield


def main() -> None:
    """Let namespaces end at once, and say so."""
    parser = argparse.ArgumentParser(
        prog="dying_namespaces", description=__doc__, epilog="example: dying_namespaces 300"
    )
    parser.add_argument("count", type=int)
    with dying_namespaces(parser.parse_args().count):
        print("they end now", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
