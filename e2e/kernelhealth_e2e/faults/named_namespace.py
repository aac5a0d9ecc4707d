"""A network namespace with a name, as ``ip netns add`` makes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pyroute2 import netns


@contextlib.contextmanager
def named_namespace(name: str) -> Iterator[str]:
    """Make a namespace of that name; yields its file. It goes with the context, half-made too."""
    try:
        netns.create(name)
        yield f"/run/netns/{name}"
    finally:
        # The file is made before the namespace is mounted there.
        with contextlib.suppress(FileNotFoundError):
            netns.remove(name)
