"""A client and a server on one virtual node whose connection stalls: how they stand, and are seen.

Both are pods with a network of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab import node_pods, pod_log
from kernelhealth_e2e.lab.node_pods import READY
from kernelhealth_e2e.lab.scenarios.zero_window import tcp_table
from kernelhealth_e2e.lab.scenarios.zero_window.workloads import client as client_program
from kernelhealth_e2e.lab.scenarios.zero_window.workloads import server as server_program
from kernelhealth_e2e.scene import PODS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from kernelhealth_e2e import pods
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.pod_log import Event
    from kernelhealth_e2e.lab.scenarios.zero_window.tcp_table import Connection

_WHERE = f"--namespace={PODS}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pods, named after what they are there for; they use one of the node's processors."""

    bench: Bench
    name: str
    processor: int

    @property
    def client(self) -> str:
        """The name of the pod that wants to send."""
        return f"{self.name}-client"

    @property
    def server(self) -> str:
        """The name of the pod that does not read at first."""
        return f"{self.name}-server"

    @property
    def title(self) -> str:
        """The client as findings name it."""
        return f"{PODS}/{self.client}"

    def wanted(self, *arguments: str, lazy: bool = False) -> Iterator[pods.Wanted]:
        """Yield both pods; *arguments* are the client's, and a *lazy* server reads when told to."""
        # Privileged: it sets how its own network repeats segments. The client needs nothing.
        yield self._wanted(self.server, server_program, *(("--lazy",) if lazy else ()))
        client = self._wanted(self.client, client_program, *arguments)
        yield replace(client, privileged=False)

    def connect(self) -> None:
        """Lead the client to the server once both run."""
        node_pods.wait(self.bench, READY, self.client, self.server)
        path = "jsonpath={.status.podIP}"
        address = self.bench.scene.kubectl("get", "pod", self.server, _WHERE, "-o", path)
        self.told(self.server, "listens")
        self.told(self.client, "waits")
        self._exec(self.client, "sh", "-c", f"echo {address} >{client_program.SERVER}")

    def told(self, pod: str, event: str) -> Event:
        """Wait until one of both tells that, and return it."""
        return node_pods.told(self.bench, pod, event)

    def read(self) -> None:
        """Let a lazy server read."""
        self._exec(self.server, "sh", "-c", "kill -USR1 1")

    def seen(self, pod: str) -> Connection:
        """Return the connection as the kernel lists it at one end."""
        return tcp_table.connection(self._exec(pod, "cat", "/proc/net/tcp"), server_program.DATA)

    def ended(self, connections: int) -> str:
        """Wait until both have ended, as they tell after so many connections; in words."""
        for pod in (self.client, self.server):
            told = self.told(pod, "ended")
            if told["connections"] != connections:
                log = self.bench.scene.kubectl("logs", pod, _WHERE)
                every = ", ".join(pod_log.events(log))
                raise HarnessError(
                    f"{pod} needed {told['connections']} connections, not {connections}: {every}"
                )
        return f"both ends have told that all {told['bytes'] >> 20} MiB came across"

    def _wanted(self, name: str, program: ModuleType, *arguments: str) -> pods.Wanted:
        where = ("--processor", str(self.processor))
        return node_pods.program(self.bench, name, program, *arguments, *where)

    def _exec(self, pod: str, *command: str) -> str:
        return self.bench.scene.kubectl("exec", pod, _WHERE, "--", *command)
