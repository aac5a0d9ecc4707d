"""A client and a server on one virtual node whose connection stalls: how they stand, and are seen.

Both are pods with a network of their own, and the programs are those of ``workloads``.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kernelhealth_e2e import images, pods
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab import pod_log, tcp_table
from kernelhealth_e2e.lab.workloads import zero_window_client, zero_window_server
from kernelhealth_e2e.scene import PODS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.tcp_table import Connection

SECONDS = 300
_WHERE = f"--namespace={PODS}"
_DIRECTORY, _PROGRAM = "/lab", "program.py"


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
        # It sets how its own network repeats segments.
        server = ("--lazy",) if lazy else ()
        yield self._wanted(self.server, zero_window_server, server, privileged=True)
        yield self._wanted(self.client, zero_window_client, arguments)

    def connect(self) -> None:
        """Lead the client to the server once both run."""
        for pod in (self.client, self.server):
            ready = ("wait", "--for=condition=Ready", f"pod/{pod}", _WHERE, f"--timeout={SECONDS}s")
            self.bench.scene.cluster.kubectl(*ready, seconds=SECONDS + 10)
        path = "jsonpath={.status.podIP}"
        address = self.bench.scene.kubectl("get", "pod", self.server, _WHERE, "-o", path)
        self.told(self.server, "listens")
        self.told(self.client, "waits")
        to = zero_window_client.SERVER
        self._exec(self.client, "sh", "-c", f"echo {address} >{to}")

    def told(self, pod: str, event: str) -> dict[str, Any]:
        """Wait until one of both tells that, and return it."""
        return pod_log.heard(self.bench.scene.observer, PODS, pod, event, SECONDS)

    def read(self) -> None:
        """Let a lazy server read."""
        self._exec(self.server, "sh", "-c", "kill -USR1 1")

    def seen(self, pod: str) -> Connection:
        """Return the connection as the kernel lists it at one end."""
        return tcp_table.connection(
            self._exec(pod, "cat", "/proc/net/tcp"), zero_window_server.DATA
        )

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

    def _wanted(
        self,
        name: str,
        program: ModuleType,
        arguments: tuple[str, ...],
        *,
        privileged: bool = False,
    ) -> pods.Wanted:
        return pods.Wanted(
            PODS,
            name,
            privileged=privileged,
            directory=_DIRECTORY,
            files=((_PROGRAM, inspect.getsource(program)),),
            image=images.AGENT.name,
            command=("python3", f"{_DIRECTORY}/{_PROGRAM}"),
            arguments=(*arguments, "--processor", str(self.processor)),
            restart="Never",
            node=self.bench.scene.name,
        )

    def _exec(self, pod: str, *command: str) -> str:
        return self.bench.scene.kubectl("exec", pod, _WHERE, "--", *command)
