"""Descriptors on their way: sent over unix sockets (SCM_RIGHTS) and not received yet.

They are in no descriptor table, so that nothing else shows what they hold. The kernel says how many
wait at a socket: ``scm_fds:`` of /proc/PID/fdinfo/FD, net/unix/af_unix.c: unix_show_fdinfo (5.7).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

from kernelhealth_agent.kernel import in_flight

_MOST_SOCKETS = 50_000
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class InFlight:
    """Which sockets have descriptors waiting, as ``kernel.in_flight`` decodes them."""

    @property
    def name(self) -> str:
        """The name of the question."""
        return in_flight.NAME

    def ask(self, root: str) -> bytes:
        """Look at the sockets of all processes, 50,000 at the most; ``OSError`` without /proc."""
        found, left = [], _MOST_SOCKETS
        for name in os.listdir(f"{root}proc"):
            if not name.isdigit():
                continue
            with contextlib.suppress(OSError):  # It ended, or may not be asked.
                for number in _sockets(f"{root}proc/{name}/fd"):
                    left -= 1
                    if waiting := _waiting(f"{root}proc/{name}/fdinfo/{number}"):
                        found.append([int(name), int(number), waiting])
            if left <= 0:
                break
        return json.dumps(found).encode()


def _sockets(directory: str) -> Iterator[str]:
    for number in os.listdir(directory):
        with contextlib.suppress(OSError):
            if os.readlink(f"{directory}/{number}").startswith("socket:["):
                yield number


def _waiting(path: str) -> int:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return in_flight.waiting(os.read(descriptor, _LONGEST))
        finally:
            os.close(descriptor)
    return 0
