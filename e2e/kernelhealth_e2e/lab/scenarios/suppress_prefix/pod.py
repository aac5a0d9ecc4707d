"""The pod with the VPN gateway, and what is counted there."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelhealth_e2e import pods
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab import node_pods
from kernelhealth_e2e.lab.node_pods import READY
from kernelhealth_e2e.lab.scenarios.suppress_prefix.workloads import gateway as program
from kernelhealth_e2e.scene import PODS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernelhealth_e2e.lab.bench import Bench

RATE = 500
"""Packets a second."""
OBJECTS = "/sys/kernel/slab/ip6_dst_cache/objects"
"""How many objects there are on the machine in the slab cache that route objects come from."""
_PROGRAM = "gateway.py"
_SENT, _ROUTES = "/gateway-sent", "/proc/net/rt6_stats"
_WHERE = f"--namespace={PODS}"
_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Count:
    """What was sent by a moment, and how many objects there were.

    ``objects`` are the route objects of the pod's namespace, ``cached`` the objects of the machine
    in the slab cache that these are in, with whatever it was merged with.
    """

    sent: int
    objects: int
    cached: int

    @classmethod
    def read(cls, shown: str) -> Count:
        """Decode the three files, in this order; HarnessError where they are something else."""
        lines = [line.split() for line in shown.splitlines()]
        if [len(line) for line in lines[:2]] != [1, 7] or len(lines) < 3:
            raise HarnessError(f"the gateway's counters cannot be read: {shown!r}")
        return cls(int(lines[0][0]), int(lines[1][5], 16), int(lines[2][0]))

    def since(self, before: Count) -> Count:
        """Return by how much everything has become more."""
        return Count(
            self.sent - before.sent, self.objects - before.objects, self.cached - before.cached
        )


@dataclass(frozen=True, slots=True)
class Gateway:
    """The pod while it runs on a bench."""

    bench: Bench
    name: str

    @property
    def title(self) -> str:
        """The pod as findings name it."""
        return f"{PODS}/{self.name}"

    def count(self) -> Count:
        """Count now."""
        cat = ("exec", self.name, _WHERE, "--", "cat", _SENT, _ROUTES, OBJECTS)
        return Count.read(self.bench.scene.kubectl(*cat))

    def after(self, packets: int) -> Count:
        """Return by how much everything has grown when that many packets more were sent."""
        begun, deadline = self.count(), time.monotonic() + _SECONDS
        while (grown := self.count().since(begun)).sent < packets:
            if time.monotonic() > deadline:
                raise HarnessError(
                    f"{self.title} sent {grown.sent} packets in {_SECONDS} s, and not {packets}"
                )
        return grown


@contextmanager
def gateway(bench: Bench, name: str) -> Iterator[Gateway]:
    """Run it, in a network namespace of its own, until the context is left.

    It ends with the boot that it began in: nothing starts it again.
    """
    wanted = node_pods.program(bench, name, program, _SENT, str(RATE), file=_PROGRAM)
    pods.create(bench.scene.cluster, wanted)
    try:
        node_pods.wait(bench, READY, name, seconds=_SECONDS)
        yield Gateway(bench, name)
    except BaseException:
        # What is lost holds the pod's links: nobody may wait for the kernel to end them.
        _delete(bench, name, "--wait=false")
        raise
    _delete(bench, name, f"--timeout={_SECONDS}s")


def _delete(bench: Bench, name: str, how: str) -> None:
    delete = ("delete", "pod", name, _WHERE, "--ignore-not-found", how)
    bench.scene.cluster.kubectl(*delete, seconds=_SECONDS + 10)
