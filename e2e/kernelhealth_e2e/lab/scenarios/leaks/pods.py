"""The pods of the scenario leaks: the kernel's fault, and somebody who builds software."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kernelhealth_e2e import pods
from kernelhealth_e2e.lab import node_pods
from kernelhealth_e2e.lab.bench import SECONDS
from kernelhealth_e2e.lab.node_pods import DIRECTORY, READY
from kernelhealth_e2e.lab.scenarios.leaks.workloads import leaks as program
from kernelhealth_e2e.scene import PODS

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench

MODULE = "leak"
_PROGRAM = "leaks.py"
_SHARE = "/share/files"
_WHERE = f"--namespace={PODS}"
_FAULT, _BUILDER = "fault", "builder"
_STATE = "/run/kernelhealth/state.json"


@dataclass(frozen=True, slots=True)
class Builds:
    """What builds have told: how many namespaces there were, and what became of the cache.

    *caches* are the names that it has in /proc/slabinfo, *objects* by how many it grew since the
    first build began, *uptime* is when this was so.
    """

    namespaces: int
    caches: tuple[str, ...]
    objects: int
    uptime: float


def insert(bench: Bench, objects: int) -> None:
    """Let the kernel lose so many objects of 1 KiB with each network namespace from now on."""
    # With the host's network: the directory /sys of others cannot be written to.
    _start(bench, _FAULT, "stay", host_network=True)
    file = f"{_SHARE}/{MODULE}.ko"
    _exec(bench, "insert", file, f"objects={objects}")


def complain(bench: Bench) -> None:
    """Let the kernel make each complaint that it can make."""
    _exec(bench, "complain")


def build(bench: Bench) -> None:
    """Start somebody who builds software, in network namespaces that come and go."""
    _start(bench, _BUILDER, "build")


def built(bench: Bench, builds: int) -> Builds:
    """Wait until so many builds were made, and return what they told then."""
    told = node_pods.told(bench, _BUILDER, f"build {builds}", 2 * SECONDS)
    return Builds(told["namespaces"], tuple(told["caches"]), told["objects"], told["uptime"])


def looks(bench: Bench, since: float) -> int:
    """Return how often the agent has looked at slab caches since that uptime."""
    state = json.loads(bench.on("cat", _STATE))
    times = state["knowledge"]["memories"]["slab"]["history"]["times"]
    return sum(time >= since for time in times)


def _start(bench: Bench, name: str, deed: str, *, host_network: bool = False) -> None:
    """Start a pod, and wait until it runs."""
    wanted = node_pods.program(bench, name, program, deed, file=_PROGRAM)
    sharing = replace(wanted, directories=(_SHARE,), host_network=host_network)
    pods.create(bench.scene.cluster, sharing)
    node_pods.wait(bench, READY, name)


def _exec(bench: Bench, *deed: str) -> None:
    command = ("exec", _FAULT, _WHERE, "--", "python3", f"{DIRECTORY}/{_PROGRAM}", *deed)
    bench.scene.cluster.kubectl(*command, seconds=SECONDS)
