"""Asks the pids controller how many processes pods have: kernel/cgroup/pids.c."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

from kernelhealth_agent.kernel import pod_pids

_MOST = 65536


@dataclass(frozen=True, slots=True)
class PodPids:
    """Which pods have a limit on processes; *group* is the directory of the group of all pods."""

    group: str

    @property
    def name(self) -> str:
        """The name of the question."""
        return f"pod-pids/{self.group}"

    def ask(self, root: str) -> bytes:
        """Look at the group of all pods, and at each pod; one that ends is left out."""
        top = f"{root}{self.group}"
        found = [row for path in (top, *_pods(top)) for row in _row(path, len(root))]
        return json.dumps(found).encode()


def _pods(top: str) -> Iterator[str]:
    """Yield the directories of pods: below the group of all pods, and below its two tiers."""
    for name in os.listdir(top):
        if pod_pids.is_pod(name):
            yield f"{top}/{name}"
        elif pod_pids.is_tier(name):
            below = os.listdir(f"{top}/{name}")
            yield from (f"{top}/{name}/{inner}" for inner in below if pod_pids.is_pod(inner))


def _row(directory: str, prefix: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield path, processes, limit and refused forks of a group; nothing without a limit."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        maximum = pod_pids.maximum(_read(f"{directory}/pids.max"))
        if maximum is None:
            return
        refused = [_refused(directory)]
        with os.scandir(directory) as entries:
            refused += [_refused(entry.path) for entry in entries if entry.is_dir()]
        # Newer kernels count a refusal where the limit is and above, older where the process is.
        current = pod_pids.number(_read(f"{directory}/pids.current"))
        yield directory[prefix:], current, maximum, max(refused[0], sum(refused[1:]))


def _refused(directory: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        return pod_pids.refused(_read(f"{directory}/pids.events"))
    return 0


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _MOST)
    finally:
        os.close(descriptor)
