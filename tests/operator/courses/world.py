"""The cluster of the model: its nodes, the people in it, and the operator that looks after them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pydantic import ValidationError

from kernelhealth_api.v1alpha1.kernelhealthpolicy import (
    Disruption,
    KernelHealthPolicySpec,
    MaintenanceWindow,
    Match,
    Mode,
    Recovery,
    Rule,
)
from kernelhealth_api.v1alpha1.request import HostRequest
from kernelhealth_operator import kinds
from kernelhealth_operator.policy.situation import CONTROL_PLANE, Policy, Treatment

from .hosts import LEAK, PIN, RESIDUE, Host
from .promises import Promises
from .replica import KNOWN, Killed, Replica, Trouble
from .server import Body, Server, Write

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("control-1", "control-2", "worker-1", "worker-2")
COOL_DOWN, HEALTHY_DELAY = timedelta(hours=1), timedelta(minutes=10)
ROUNDS = 60
MOST = 2
CORDON: dict[str, Any] = {"cordon": {}}
RECLAIM: dict[str, Any] = {"reclaim": {}}
_PLANS: tuple[tuple[dict[str, Any], ...], ...] = (
    (CORDON,),
    (CORDON, {"fixConfig": {}}, RECLAIM),
    (RECLAIM,),
    (CORDON, {"reclaim": {"fixes": ["DeleteResidualLink"], "verifyWithin": "2m"}}),
    ({"taint": {}}, CORDON, RECLAIM),
    (CORDON, {"drain": {"whenBlocked": "Delete"}}, RECLAIM),
    (CORDON, {"drain": {"timeout": "20m"}}, {"reboot": {"when": "Now"}}),
    (CORDON, RECLAIM, {"drain": {"required": False}}, {"reboot": {"when": "MaintenanceWindow"}}),
)


def _plays(plan: tuple[dict[str, Any], ...]) -> bool:
    known = {each.name: each for each in KNOWN}
    try:
        return all(known[n].settings.model_validate(s) for step in plan for n, s in step.items())
    except (KeyError, ValidationError):
        return False


PLANS = tuple(plan for plan in _PLANS if _plays(plan))
"""What rules may ask for, as far as this operator knows the actions."""


def spec(plan: int = 0, **changes: Any) -> KernelHealthPolicySpec:
    """A policy that acts by itself."""
    rules = (
        Rule(
            name="leaks",
            match=Match(reasons=(LEAK, RESIDUE)),
            for_=timedelta(minutes=1),
            actions=PLANS[plan % len(PLANS)],
        ),
        Rule(name="pins", match=Match(reasons=(PIN,)), actions=(CORDON, {"fixConfig": {}})),
    )
    window = MaintenanceWindow(schedule="0 2 * * *", duration=timedelta(hours=4))
    values: dict[str, Any] = {
        "mode": Mode.AUTO,
        "rules": rules,
        "maintenance_windows": (window,),
        "disruption": Disruption(max_unavailable=MOST, min_healthy=0),
        "recovery": Recovery(healthy_delay=HEALTHY_DELAY, cool_down=COOL_DOWN),
    }
    return KernelHealthPolicySpec(**{**values, **changes})


class World:
    """Everything there is, at ``server.now``."""

    def __init__(self, plan: int) -> None:
        self.plan = plan
        self.silent: set[str] = set()
        self.promises = Promises(self)
        self.server = Server(START, self.promises.watch)
        self.hosts: dict[str, Host] = {}
        self.late: list[Write] = []
        self._values: dict[str, Treatment] = {}
        self.rule(policy=Policy("all", START, 1, spec(plan)))
        for name in NAMES:
            self.join(name)
        self.replica = Replica(self.server, self.late, self.silent)

    @property
    def now(self) -> datetime:
        """The time."""
        return self.server.now

    # Nodes.

    def join(self, name: str) -> None:
        """A Node registers, and its agent reports."""
        number = self.server.version + 1
        labels = {CONTROL_PLANE: ""} if name.startswith("control") else {}
        deed = partial(self.promises.deed, name)
        host = Host(f"boot-{name}-{number}", self.now, deed)
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
        owner = [{"kind": "Node", "uid": f"uid-{number}"}]
        health = {"name": name, "uid": f"uid-{number}-health", "ownerReferences": owner}
        self.server.put(self.server.healths, name, {"metadata": health})
        self.report(name)
        for place in range(2):
            self.schedule(name, f"{name}-{place}")
        self.promises.forget(name)

    def leave(self, name: str) -> None:
        """A Node is deleted, and with it what is its own."""
        for kind in (self.server.nodes, self.server.healths):
            kind.pop(name, None)
        self.silent.discard(name)
        gone = [key for key, pod in self.server.pods.items() if pod["spec"]["nodeName"] == name]
        for key in gone:
            del self.server.pods[key]

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
        self.server.put(self.server.pods, name, body)

    def report(self, name: str) -> None:
        """The agent of a node says how its host is; the kubelet, which boot it is."""
        if name not in self.server.nodes or name in self.silent:
            return
        host = self.hosts[name]
        status = host.status(self.now)
        held = self.server.healths[name]
        self.server.put(self.server.healths, name, {**held, "status": status})
        info = {"status": {"nodeInfo": {"bootID": host.boot}}}
        self.server.edit(self.server.nodes, name, info, "kubelet")

    def request(self, name: str) -> HostRequest | None:
        """What the agent of a node is asked for."""
        asked = self.server.healths.get(name, {}).get("spec", {}).get("request")
        return HostRequest.model_validate(asked) if asked else None

    def agent_works(self, name: str, dies: str = "") -> None:
        """An agent looks at what it is asked for, and does it."""
        asked = self.request(name)
        if asked is not None:
            self.hosts[name].work(asked, self.now, dies)

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

    # The operator.

    def operate(self, name: str, trouble: Trouble | None = None) -> int:
        """The operator looks at a node; if it is killed, another one takes over."""
        self.promises.meddled = trouble is not None and trouble.how == "meddle"
        try:
            sent = self.replica.work(name, trouble)
        except Killed:
            self.take_over()
            return 1
        self.promises.looked(name)
        return sent

    def take_over(self) -> None:
        """Another replica leads from now on; it begins with what a list tells."""
        self.replica.leads = False
        self.replica = Replica(self.server, self.late, self.silent)
        self.promises.unheard.clear()

    def hear(self, name: str, only: str = "") -> None:
        """The watches of the leader bring what is new about a node."""
        self.replica.hear_policies()
        self.replica.hear(name, only=only)
        if not only:
            self.promises.unheard.discard(name)

    def land(self) -> None:
        """A write of a leader that is gone arrives at last."""
        if self.late:
            self.promises.land(self.late.pop(0))

    def settle(self) -> None:
        """Everybody does his work until nothing is left to do at this time, which comes soon."""
        dirty = {*self.hosts, *self.replica.woken}
        for _ in range(ROUNDS):
            self.replica.woken.clear()
            self.server.bury()
            for name in sorted(dirty):
                self.agent_works(name)
                self.report(name)
                self.hear(name)
                self.operate(name)
            dirty = {*self.replica.woken, *self._unsettled(dirty)}
            if not dirty:
                return
        raise AssertionError(f"still at work after {ROUNDS} rounds: {sorted(dirty)}")

    def _unsettled(self, names: Iterable[str]) -> set[str]:
        """Nodes whose agent was asked for something, or whose pods are about to end."""
        leaving = (p for p in self.server.pods.values() if "deletionTimestamp" in p["metadata"])
        asked = (name for name in names if self._unanswered(name))
        return {*asked, *(pod["spec"]["nodeName"] for pod in leaving)}

    def _unanswered(self, name: str) -> bool:
        request = self.server.healths.get(name, {}).get("spec", {}).get("request")
        answer = self.hosts[name].answer
        return request is not None and (answer is None or answer["id"] != request["id"])
