"""What a test of the installed software plays on: policies, leaks, waits, and a clean end."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kernelhealth_e2e import pods
from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.observing import NotSeenError, Object, Observer
from kernelhealth_e2e.scraping import Samples, scrape

LEAK, CONDITION = "NetworkNamespaceLeaked", "NetworkNamespacesHealthy"
OWNER = "kernelhealth.io/cordoned-by"
LET_BE = "kernelhealth.io/let-be"
PODS = "shop"
POLICY = "under-test"
AGENT_METRICS = "10.88.0.1:9469"
SECONDS = 150.0
_MANY_PODS_SECONDS = 240.0
# A scrape is paid for from the agent's share of the processor.
_PROBE_EVERY_SECONDS = 1.0
_TREATMENTS = "noderemediations"

Holds = Callable[[Object], bool]


@dataclass(frozen=True, slots=True)
class Scene:
    """A cluster with our software on it, as the administrator sees it: *on* one node.

    It waits for *seconds* at most, where nothing else is said.
    """

    cluster: Cluster
    observer: Observer
    on: str = ""
    seconds: float = SECONDS

    @property
    def name(self) -> str:
        """The name of that node; the harness's own, unless another was named."""
        return self.on or self.cluster.settings.node_name

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl as the administrator and return what it printed; failing raises."""
        return self.cluster.kubectl(*arguments, stdin=stdin, seconds=self.seconds)

    def get(self, kind: str, name: str, *arguments: str) -> Object:
        """Return an object as it is now; failing raises."""
        answer: Object = json.loads(self.kubectl("get", kind, name, "-o", "json", *arguments))
        return answer

    def names(self, kind: str) -> list[str]:
        """Return the names of all objects of a kind that has no namespaces."""
        return self.kubectl("get", kind, "-o", "jsonpath={.items[*].metadata.name}").split()

    def health(self, what: str, holds: Holds) -> Object:
        """Wait for what becomes of the node's NodeKernelHealth."""
        return self.observer.wait("nodekernelhealth", self.name, what, holds, self.seconds)

    def node(self, what: str, holds: Holds) -> Object:
        """Wait for what becomes of the Node."""
        return self.observer.wait("node", self.name, what, holds, self.seconds)

    def treatment(self, phase: str, holds: Holds = bool, seconds: float = 0) -> Object:
        """Wait until a NodeRemediation is in a phase, and as wanted; 0 *seconds*: the scene's."""

        def both(one: Object) -> bool:
            return bool(one.get("status", {}).get("phase") == phase and holds(one))

        what = f"one that is {phase}"
        return self.observer.wait(_TREATMENTS, "", what, both, seconds or self.seconds)

    def policy(self, mode: str, **changes: Any) -> None:
        """Let a policy with short times govern the node; back when the agent follows it."""
        spec = {
            "mode": mode,
            "detectors": {"networkNamespaces": {"confirmAfter": "3s"}},
            "rules": [{"name": "leak", "match": {"reasons": [LEAK]}, "actions": [{"cordon": {}}]}],
            "disruption": {"maxUnavailable": 1, "minHealthy": 0},
            "recovery": {"healthyDelay": "1s", "coolDown": "5m"},
            **changes,
        }
        policy = {
            "apiVersion": "kernelhealth.io/v1alpha1",
            "kind": "KernelHealthPolicy",
            "metadata": {"name": POLICY},
            "spec": spec,
        }
        self.kubectl("apply", "-f", "-", stdin=json.dumps(policy))
        self.followed(POLICY)

    def followed(self, policy: str | None) -> None:
        """Wait until the agent measures by the thresholds of a policy, or of none."""
        self.health(
            f"measured by policy {policy}", lambda one: _status(one).get("policy") == policy
        )

    def start(self, name: str) -> pods.Started:
        """Start an ordinary pod; back when the agent has seen it as well."""
        pod = pods.start(self.cluster, pods.Wanted(PODS, name))
        pods.noticed(self.cluster, pod)
        return pod

    @contextlib.contextmanager
    def leaking(self, pod: pods.Started, way: str = "in-flight") -> Iterator[float]:
        """Delete a pod while something holds its network namespace, until the context is left.

        Yields the monotonic time at which the deletion began.
        """
        with pods.fault(self.cluster, "held_namespace", way, str(pod.pid)):
            began = time.monotonic()
            pods.delete(self.cluster, pod)
            yield began

    @contextlib.contextmanager
    def leak(self, name: str, way: str = "in-flight") -> Iterator[pods.Started]:
        """Start a pod, and delete it so that its network namespace stays, until the end."""
        pod = self.start(name)
        with self.leaking(pod, way):
            yield pod

    def counted(self, published: str, what: str, holds: Callable[[Samples], bool]) -> Samples:
        """Scrape again and again, since nothing tells when a number changes, until it is so."""
        deadline = time.monotonic() + self.seconds
        while not holds(samples := scrape(published)):
            if time.monotonic() > deadline:
                ours = {name: value for name, value in samples.items() if value}
                within = f"within {self.seconds:.0f} s"
                raise NotSeenError(f"not counted {within}: {what}; it is {ours}")
            time.sleep(_PROBE_EVERY_SECONDS)
        return samples

    def clean(self) -> None:
        """Remove what a test has left, and wait until the node is well and measured by default."""
        pods_left = ("delete", "pod", "--all", "-n", PODS, "--ignore-not-found", "--grace-period=1")
        # From the last to the first, and each of them although another one failed.
        with contextlib.ExitStack() as steps:
            steps.callback(self.health, "a healthy node", is_well)
            steps.callback(self.followed, None)
            steps.callback(self.cluster.kubectl, *pods_left, seconds=_MANY_PODS_SECONDS)
            steps.callback(self.kubectl, "annotate", "node", self.name, f"{LET_BE}-")
            steps.callback(self.kubectl, "delete", _TREATMENTS, "--all")
            steps.callback(self._await_treatments)
            steps.callback(self.kubectl, "uncordon", self.name)
            steps.callback(self.node, "no cordon of ours", lambda node: not owner(node))
            steps.callback(self.kubectl, "delete", "kernelhealthpolicies", "--all")

    def _await_treatments(self) -> None:
        # Whoever deletes one that has not ended says no to it, which is noted on the Node.
        for treatment in self.names(_TREATMENTS):
            ended = "--for=jsonpath={.status.finishedAt}"
            wait = ("wait", ended, f"{_TREATMENTS}/{treatment}", f"--timeout={self.seconds:.0f}s")
            self.cluster.kubectl(*wait, seconds=self.seconds + 10)


def _status(one: Object) -> Object:
    status: Object = one.get("status", {})
    return status


def findings(health: Object) -> list[Object]:
    """Return the findings of a NodeKernelHealth."""
    return list(_status(health).get("findings", ()))


def is_well(health: Object) -> bool:
    """Tell whether a NodeKernelHealth has nothing to say."""
    return _status(health).get("health") == "Healthy" and not findings(health)


def owner(node: Object) -> str:
    """Return the NodeRemediation that cordoned a Node, empty where none did."""
    return str(node["metadata"].get("annotations", {}).get(OWNER, ""))


def is_cordoned(node: Object) -> bool:
    """Tell whether a Node is unschedulable, by whomever."""
    return bool(node["spec"].get("unschedulable"))


def is_done(treatment: Object) -> bool:
    """Tell whether every action of a NodeRemediation was taken."""
    return all(rung["state"] == "Done" for rung in _status(treatment)["rungs"])
