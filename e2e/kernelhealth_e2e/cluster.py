"""A whole cluster on this machine: one node, and the control plane inside it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from kernelhealth_e2e import accounts, controlplane, node, runs
from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.node import ADDRESS, Node
from kernelhealth_e2e.runs import Identity, Record
from kernelhealth_e2e.tunnel import Tunnel

if TYPE_CHECKING:
    from pathlib import Path

    from kernelhealth_e2e.cache import Cache
    from kernelhealth_e2e.progress import Progress

_API_PORT = 443
_READY_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Settings:
    """One cluster: ``runs`` is where run directories go; ``keep`` lets it outlive its maker."""

    binaries: Path
    runs: Path
    cache: Cache
    progress: Progress
    node_name: str = "node-a"
    keep: bool = False


@dataclass(slots=True)
class Cluster:
    """A running cluster; use it as a context manager. With ``keep`` leaving it stops nothing."""

    settings: Settings
    run: Path = field(init=False)
    node: Node = field(init=False)
    control_plane: ControlPlane = field(init=False)
    _tunnels: list[Tunnel] = field(default_factory=list)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, for use on this machine."""
        return self.control_plane.kubeconfig

    def __enter__(self) -> Self:
        """Start, or leave nothing behind when that fails."""
        removed = runs.sweep(self.settings.runs)
        if removed:
            self.settings.progress.say(f"removed what was left of {', '.join(removed)}")
        self.run = runs.create(self.settings.runs)
        try:
            with self.settings.progress.step("starting Kubernetes"):
                self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything unless the cluster is to be kept."""
        if not self.settings.keep:
            self.stop()

    def stop(self) -> None:
        """End every process and remove every trace."""
        while self._tunnels:
            self._tunnels.pop().close()
        if hasattr(self, "control_plane"):
            self.control_plane.stop()
        if hasattr(self, "node"):
            self.node.stop()
        runs.remove(self.run)

    def kubectl(self, *arguments: str, stdin: str = "", seconds: float = 60) -> str:
        """Run kubectl as the administrator and return what it printed; failing raises."""
        return self.control_plane.kubectl(*arguments, stdin=stdin, seconds=seconds)

    def instructions(self) -> str:
        """Tell a person how to use a cluster that stays, and how to remove it."""
        kubectl = self.settings.binaries / "kubectl"
        return (
            f"  export KUBECONFIG={self.kubeconfig}\n"
            f"  {kubectl} get nodes\n"
            f"  nsenter --target {self.node.pid} --all    # a shell on the node\n"
            f"  {sys.executable} -m kernelhealth_e2e down  # remove it"
        )

    def publish(self, target: str) -> str:
        """Make ``address:port`` of the node or of a pod reachable; return its address here."""
        bound = not self.settings.keep
        tunnel = Tunnel.open(self.node.pid, target, self.node.logs, bound=bound)
        self._tunnels.append(tunnel)
        self._record()
        return tunnel.published

    def _start(self) -> None:
        wanted, bound = self.settings, not self.settings.keep
        self.node = Node(
            node.Settings(
                wanted.node_name, self.run, self.run.name, wanted.binaries, wanted.cache, bound
            )
        )
        self.node.boot()
        self._record()
        kubelet = accounts.node(wanted.node_name)
        self.control_plane = ControlPlane(
            controlplane.Settings(
                binaries=wanted.binaries,
                directory=self.run / "control-plane",
                users=(kubelet,),
                controllers=True,
                bound=bound,
                address=ADDRESS,
                port=_API_PORT,
                bind="0.0.0.0",  # noqa: S104 - in the node's own network namespace
                published=self.publish(f"{ADDRESS}:{_API_PORT}"),
                place=self.node.place,
            )
        )
        self.control_plane.start()
        config = self.control_plane.kubeconfig_for(kubelet, inner=True)
        self.node.join(config, self.control_plane.ca)
        self._await_ready()

    def _await_ready(self) -> None:
        timeout, name = f"--timeout={_READY_SECONDS}s", f"node/{self.settings.node_name}"
        seconds = _READY_SECONDS + 10
        self.kubectl("wait", "--for=create", name, timeout, seconds=seconds)
        self.kubectl("wait", "--for=condition=Ready", name, timeout, seconds=seconds)
        self.kubectl("wait", "--for=create", "serviceaccount/default", timeout, seconds=seconds)

    def _record(self) -> None:
        before = runs.load(self.run)
        pids = (self.node.pid, *(tunnel.process.pid for tunnel in self._tunnels))
        known = tuple(identity for pid in pids if (identity := Identity.of(pid)))
        if before:
            runs.save(self.run, Record(before.owner, known, kept=self.settings.keep))
