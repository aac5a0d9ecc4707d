"""Pods on a node whose network namespaces are no longer destroyed: the fault, and tenants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kernelhealth_e2e import pods
from kernelhealth_e2e.lab import node_pods
from kernelhealth_e2e.lab.bench import SECONDS
from kernelhealth_e2e.lab.node_pods import READY
from kernelhealth_e2e.lab.scenarios.wedge.workloads import crowd, deeds
from kernelhealth_e2e.scene import PODS

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.pod_log import Event

MODULE = "/share/files/wedge.ko"
"""Where a virtual machine sees the lab's module."""


@dataclass(frozen=True, slots=True)
class Tenants:
    """All pods of one run."""

    bench: Bench

    def plain(self, *names: str) -> None:
        """Start ordinary pods, and wait until they run."""
        node = self.bench.scene.name
        self._create(*(pods.Wanted(PODS, one, node=node) for one in names))
        node_pods.wait(self.bench, READY, *names)

    def deed(self, name: str, *deed: str) -> None:
        """Start a privileged pod with a network of its own that does one of the deeds."""
        self._create(node_pods.program(self.bench, name, deeds, *deed))

    def crowd(self, name: str, size: int, seconds: int) -> None:
        """Start one that lets so many network namespaces end at once, again and again."""
        self._create(node_pods.program(self.bench, name, crowd, str(size), str(seconds)))

    def deed_of_host(self, name: str, *deed: str) -> None:
        """Start one that needs no network namespace, and sees the node's processes."""
        wanted = node_pods.program(self.bench, name, deeds, *deed)
        of_host = replace(wanted, host_network=True, host_processes=True, directories=("/share",))
        self._create(of_host)

    def told(self, name: str, event: str, seconds: float = SECONDS) -> Event:
        """Wait until a pod has told that, and return it."""
        return node_pods.told(self.bench, name, event, seconds)

    def delete(self, *names: str) -> None:
        """Delete pods like any others, and wait until the kubelet is done with them."""
        node_pods.delete(self.bench, *names)

    def _create(self, *wanted: pods.Wanted) -> None:
        pods.create(self.bench.scene.cluster, *wanted)
