"""The cluster of the model without its operator: nodes, their agents, pods, and the policy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from kernelhealth_api.v1alpha1.request import HostRequest, RequestState
from kernelhealth_operator import kinds
from kernelhealth_operator.policy.situation import CONTROL_PLANE, ZONE, Policy, Treatment

from .chronicle import Chronicle
from .hosts import Host
from .patches import Body, merged
from .server import Server, Write

NAMES = ("control-1", "control-2", "worker-1", "worker-2")


class Cluster:
    """Everything there is, at ``server.now``; *deed* is told of what a host is about to do."""

    def __init__(
        self,
        server: Server,
        chronicle: Chronicle,
        deed: Callable[[str, HostRequest], None],
        appeared: Callable[[str], None],
    ) -> None:
        self.server, self.chronicle = server, chronicle
        self._deed, self._appeared = deed, appeared
        self.silent: set[str] = set()
        self.hosts: dict[str, Host] = {}
        self.late: list[Write] = []
        self._values: dict[str, Treatment] = {}
        self._told: dict[str, Body] = {}

    @property
    def now(self) -> datetime:
        """The time."""
        return self.server.now

    # Nodes.

    def join(self, name: str) -> None:
        """A Node registers, and its agent reports."""
        number = self.server.version + 1
        labels = {ZONE: f"zone-{name[-1]}"}
        labels |= {CONTROL_PLANE: ""} if name.startswith("control") else {}
        host = Host(f"boot-{name}-{number}", self.now, partial(self._deed, name))
        self.hosts[name] = host
        body: Body = {
            "metadata": {
                "name": name,
                "uid": f"uid-{number}",
                "labels": labels,
                "annotations": {},
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {"taints": [{"key": "team", "value": "a", "effect": "NoSchedule"}]},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "nodeInfo": {"bootID": host.boot},
            },
        }
        self.server.put(self.server.nodes, name, body)
        self._told.pop(name, None)
        owner = [{"kind": "Node", "uid": f"uid-{number}"}]
        health = {"name": name, "uid": f"uid-{number}-health", "ownerReferences": owner}
        self.server.put(self.server.healths, name, {"metadata": health})
        self.report(name)
        for place in range(2):
            self.schedule(name, f"{name}-{place}")
        self._appeared(name)

    def leave(self, name: str) -> None:
        """A Node is deleted, and with it what is its own."""
        for kind in (self.server.nodes, self.server.healths):
            kind.pop(name, None)
        self.silent.discard(name)
        pods = self.server.pods
        pods.stored = {k: pod for k, pod in pods.stored.items() if pod["spec"]["nodeName"] != name}

    def schedule(self, node: str, name: str) -> None:
        """A pod of a ReplicaSet, guarded by a budget, begins on a Node."""
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True}
        body: Body = {
            "metadata": {
                "namespace": "shop",
                "name": name,
                "uid": f"uid-{self.server.version + 1}",
                "labels": {"app": "guarded"},
                "ownerReferences": [owner],
            },
            "spec": {"nodeName": node},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }
        self.server.put(self.server.pods.stored, name, body)

    def report(self, name: str) -> None:
        """The agent of a node says how its host is; the kubelet, which boot it is."""
        if name not in self.server.nodes or name in self.silent:
            return
        host = self.hosts[name]
        held, status = self.server.healths[name], host.status(self.now)
        if self._told.get(name) == status:
            return  # An agent writes what is news, and again when some time has passed.
        self._told[name] = status
        # What the operator tells there stays, whatever the agent applies.
        kept = {k: v for k, v in held.get("status", {}).items() if k == "remediation"}
        body = {**held, "status": merged(kept, status)}
        self.server.put(self.server.healths, name, body)
        info = {"status": {"nodeInfo": {"bootID": host.boot}}}
        self.server.edit(self.server.nodes, name, info, "kubelet")

    def request(self, name: str) -> HostRequest | None:
        """What the agent of a node is asked for."""
        asked = self.server.healths.get(name, {}).get("spec", {}).get("request")
        return HostRequest.model_validate(asked) if asked else None

    def agent_works(self, name: str, dies: str = "") -> None:
        """An agent looks at what it is asked for, and does it."""
        asked = self.request(name)
        host = self.hosts[name]
        if asked is None:
            return
        before, fresh = sum(host.done.values()), asked.id not in host.journal
        host.work(asked, self.now, dies)
        done = sum(host.done.values()) > before
        if dies and fresh and (done or asked.id in host.journal):
            self.chronicle.note(f"an agent died {dies} a deed")
        if done and host.stubborn:
            self.chronicle.note("a cure did not help")
        if fresh and host.answer and host.answer["state"] == RequestState.REFUSED:
            self.chronicle.note("a request was refused")

    # Policies and treatments.

    def rule(self, policy: Policy | None) -> None:
        """From now on this is the only policy."""
        self.server.policies = {} if policy is None else {policy.name: policy}

    @property
    def policy(self) -> Policy | None:
        """The policy, if there is one."""
        return next(iter(self.server.policies.values()), None)

    def treatments(self, name: str) -> list[Treatment]:
        """All treatments of a node."""
        bodies = self.server.remediations.values()
        return [self.treatment(body) for body in bodies if body["spec"]["nodeName"] == name]

    def treatment(self, body: Body) -> Treatment:
        """A treatment as a value."""
        name, version = body["metadata"]["name"], body["metadata"]["resourceVersion"]
        held = self._values.get(name)
        if held is None or held.resource_version != version:
            held = self._values[name] = kinds.treatment_of(body)
        return held

    def open(self, name: str) -> Treatment | None:
        """The treatment of a node that has not ended."""
        return next((t for t in self.treatments(name) if not t.status.phase.final), None)
