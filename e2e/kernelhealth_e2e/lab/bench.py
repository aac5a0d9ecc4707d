"""What a run is played on: a Node with a kernel of its own, seen as its administrator sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kernelhealth_e2e.demo.stage import about
from kernelhealth_e2e.installation import NAMESPACE
from kernelhealth_e2e.scene import Scene, findings, is_cordoned, is_well, owner
from kernelhealth_e2e.vm.installation import AGENT
from kernelhealth_e2e.vm.node import LABEL, LABELLED, is_ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernelhealth_e2e.lab.workshop import Workshop
    from kernelhealth_e2e.observing import Object
    from kernelhealth_e2e.vm.node import VirtualNode

SECONDS = 300.0
"""An emulated processor takes ten times as long for everything."""
ALWAYS_OPEN = [{"schedule": "* * * * *", "duration": "30m"}]
_WHERE = f"--namespace={NAMESPACE}"


@dataclass(frozen=True, slots=True)
class Bench:
    """A virtual node with the shipped agent on it; ``scene`` is on that node.

    ``name`` is the lab's name of the kernel.
    """

    node: VirtualNode
    scene: Scene
    name: str
    workshop: Workshop

    def policy(self, mode: str, rules: list[dict[str, Any]], **changes: Any) -> None:
        """Let a policy govern the virtual node alone; back when the agent follows it."""
        here = {"nodeSelector": {"matchLabels": {LABEL: LABELLED}}, "rules": rules}
        self.scene.policy(mode, **{**here, "maintenanceWindows": ALWAYS_OPEN, **changes})

    def health(
        self, what: str, holds: Callable[[Object], bool], seconds: float = SECONDS
    ) -> Object:
        """Wait for what becomes of the node's NodeKernelHealth."""
        name = self.scene.name
        return self.scene.observer.wait("nodekernelhealth", name, what, holds, seconds)

    def kubernetes_node(
        self, what: str, holds: Callable[[Object], bool], seconds: float = SECONDS
    ) -> Object:
        """Wait for what becomes of the Node."""
        return self.scene.observer.wait("node", self.scene.name, what, holds, seconds)

    def found(self, reason: str, pod: str, seconds: float = SECONDS) -> Object:
        """Wait for a finding with that reason about a pod, and return it."""
        health = self.health(f"{reason} of {pod}", about(reason, pod), seconds)
        return next(
            one
            for one in findings(health)
            if one["reason"] == reason and one["subject"].get("pod") == pod
        )

    def reason(self, reason: str, seconds: float = SECONDS) -> Object:
        """Wait for any finding with that reason, and return it."""

        def holds(health: Object) -> bool:
            return any(one["reason"] == reason for one in findings(health))

        health = self.health(reason, holds, seconds)
        return next(one for one in findings(health) if one["reason"] == reason)

    def cordoned(self, seconds: float = SECONDS) -> Object:
        """Wait until we have cordoned the Node, and return it."""
        return self.kubernetes_node("cordoned by us", lambda one: bool(owner(one)), seconds)

    def succeeded(self, treatment: str, seconds: float = SECONDS) -> Object:
        """Wait until a NodeRemediation has ended well, and return it."""

        def holds(one: Object) -> bool:
            return bool(one.get("status", {}).get("phase") == "Succeeded")

        return self.scene.observer.wait(
            "noderemediation", treatment, "it has succeeded", holds, seconds
        )

    def given_back(self, seconds: float = SECONDS) -> Object:
        """Wait until the Node is Ready, takes pods and is well, and return it."""

        def holds(one: Object) -> bool:
            return is_ready(one) and not is_cordoned(one)

        node = self.kubernetes_node("Ready and in service", holds, seconds)
        self.health("nothing is left", is_well, seconds)
        return node

    def abandon(self) -> None:
        """Take away what governs and treats the node, after a run that went wrong."""
        for kind in ("kernelhealthpolicies", "noderemediations"):
            self.scene.kubectl("delete", kind, "--all", "--wait=false")

    def on(self, *command: str) -> str:
        """Run a command in the agent's container there: the host's network and processes."""
        # On a busy machine an emulated one takes most of a minute to start a program in a pod.
        command = ("exec", AGENT, _WHERE, "--", *command)
        return self.scene.cluster.kubectl(*command, seconds=SECONDS)

    def links(self) -> list[str]:
        """Return the network links of the machine's own namespace, sorted."""
        return sorted(self.on("ls", "/sys/class/net").split())

    def status(self) -> Object:
        """Return the NodeKernelHealth's status as it is now."""
        return dict(self.scene.get("nodekernelhealth", self.scene.name).get("status", {}))


def deeds(treatment: Object) -> str:
    """Return what a NodeRemediation did, action by action, as far as it says anything of it."""
    rungs = treatment["status"]["rungs"]
    return "; ".join(f"{one['action']}: {one['message']}" for one in rungs if one.get("message"))
