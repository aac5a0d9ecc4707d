from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def open_files() -> Callable[[], set[tuple[str, str]]]:
    """Tell what this process has open now, as numbers with what is behind each.

    A thread of an earlier test may close some meanwhile: nothing more must be open afterwards.
    """

    def told() -> set[tuple[str, str]]:
        found = set()
        for descriptor in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add((descriptor.name, str(descriptor.readlink())))
        return found

    return told
