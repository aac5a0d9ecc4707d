"""Pods on a virtual node whose network namespaces are no longer destroyed: the fault, and tenants.

What they do is in ``workloads``. A program in a pod costs an emulated machine most of a
minute, so that each tells what it sees, and nothing is asked of it.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kernelhealth_e2e import images, pods
from kernelhealth_e2e.lab import pod_log
from kernelhealth_e2e.lab.bench import SECONDS
from kernelhealth_e2e.lab.workloads import wedge, wedge_crowd
from kernelhealth_e2e.scene import PODS

if TYPE_CHECKING:
    from types import ModuleType

    from kernelhealth_e2e.lab.bench import Bench

MODULE = "/share/files/wedge.ko"
"""Where a virtual machine sees the lab's module."""
_DIRECTORY, _PROGRAM = "/lab", "program.py"
_WHERE = f"--namespace={PODS}"


@dataclass(frozen=True, slots=True)
class Tenants:
    """All pods of one run."""

    bench: Bench

    def plain(self, *names: str) -> None:
        """Start ordinary pods, and wait until they run."""
        node = self.bench.scene.name
        pods.create(self.bench.scene.cluster, *(pods.Wanted(PODS, one, node=node) for one in names))
        every = (f"pod/{name}" for name in names)
        ready = ("wait", "--for=condition=Ready", *every, _WHERE, f"--timeout={SECONDS:.0f}s")
        self.bench.scene.cluster.kubectl(*ready, seconds=SECONDS + 10)

    def deed(self, name: str, *deed: str) -> None:
        """Start a privileged pod with a network of its own that does one of the deeds."""
        self._create(name, wedge, deed, of_host=False)

    def crowd(self, name: str, size: int, seconds: int) -> None:
        """Start one that lets so many network namespaces end at once, again and again."""
        self._create(name, wedge_crowd, (str(size), str(seconds)), of_host=False)

    def deed_of_host(self, name: str, *deed: str) -> None:
        """Start one that needs no network namespace, and sees the node's processes."""
        self._create(name, wedge, deed, of_host=True)

    def told(self, name: str, event: str, seconds: float = SECONDS) -> dict[str, Any]:
        """Wait until a pod has told that, and return it."""
        # There is no log to follow before it runs, and one that is over has one all the same.
        begun = "--for=jsonpath={.status.containerStatuses[0].containerID}"
        wait = ("wait", begun, f"pod/{name}", _WHERE, f"--timeout={SECONDS:.0f}s")
        self.bench.scene.cluster.kubectl(*wait, seconds=SECONDS + 10)
        return pod_log.heard(self.bench.scene.observer, PODS, name, event, seconds)

    def delete(self, *names: str) -> None:
        """Delete pods like any others, and wait until the kubelet is done with them."""
        gone = ("delete", "pod", *names, _WHERE, "--wait", f"--timeout={SECONDS:.0f}s")
        self.bench.scene.cluster.kubectl(*gone, seconds=SECONDS + 10)

    def _create(
        self, name: str, program: ModuleType, arguments: tuple[str, ...], *, of_host: bool
    ) -> None:
        wanted = pods.Wanted(
            PODS,
            name,
            privileged=True,
            directory=_DIRECTORY,
            files=((_PROGRAM, inspect.getsource(program)),),
            host_network=of_host,
            image=images.AGENT.name,
            command=("python3", f"{_DIRECTORY}/{_PROGRAM}"),
            arguments=arguments,
            # What has made a fault must not make it again in the next boot.
            restart="Never",
            node=self.bench.scene.name,
            directories=("/share",) if of_host else (),
            host_processes=of_host,
        )
        pods.create(self.bench.scene.cluster, wanted)
