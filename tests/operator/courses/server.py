"""A model of the API server: versions, conflicts, preconditions, evictions, and whose a field is.

What it stands for: kube-apiserver, as far as the operator can tell. Every write gets the next
version, a write that changes nothing gets none, and one that names another version is refused.
Objects are as on the wire, and are never changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kernelhealth_operator.cluster.errors import Conflict, NotFound, Throttled
from kernelhealth_operator.kinds import EVENTS, HEALTHS, NODES, POLICIES, REMEDIATIONS
from kernelhealth_operator.policy.situation import Policy

Body = dict[str, Any]
OPERATOR = "kernelhealth-operator"
PODS, BUDGETS, EVICTION = "/api/v1/pods", "/poddisruptionbudgets", "/eviction"


@dataclass(frozen=True)
class Write:
    """A request that changes something; *manager* is whose the fields are from then on."""

    method: str
    path: str
    body: Body
    manager: str
    apply: bool = False


@dataclass
class Server:
    """Everything that is stored, at *now*. *budget* is how many pods may be evicted still.

    *watched* is told of each write before it is carried out, and may object.
    """

    now: datetime
    watched: Callable[[Write], None]
    version: int = 0
    nodes: dict[str, Body] = field(default_factory=dict)
    healths: dict[str, Body] = field(default_factory=dict)
    remediations: dict[str, Body] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    pods: dict[str, Body] = field(default_factory=dict)
    objects: dict[str, Body] = field(default_factory=dict)
    budget: int = 1

    def get(self, path: str) -> Body:
        """What is to be found there; ``NotFound``."""
        parts = urlsplit(path)
        if parts.path == PODS:
            selected = parse_qs(parts.query)["fieldSelector"][0].removeprefix("spec.nodeName=")
            return {"items": [p for p in self.pods.values() if p["spec"]["nodeName"] == selected]}
        if parts.path.endswith(BUDGETS):
            return {"items": [self._guard(parts.path.split("/")[-2])]}
        kind, _, name = parts.path.rpartition("/")
        if kind == POLICIES and name in self.policies:
            return {"metadata": {"name": name}, "policy": self.policies[name]}
        found = self._kind(kind).get(name) if kind in _STORED else self.objects.get(path)
        if found is None:
            raise NotFound(f"GET {path}", "there is none", status=404)
        return found

    def write(self, write: Write) -> Body:
        """Carry it out; ``Conflict``, ``NotFound``, ``Throttled``."""
        if write.path == EVENTS or write.path.startswith(f"{EVENTS}/"):
            return {}
        self.watched(write)
        if write.path.endswith(EVICTION):
            return self._evict(write)
        kind, _, name = write.path.removesuffix("/status").rpartition("/")
        if write.path == REMEDIATIONS:
            return self._create(self.remediations, write)
        if kind in _STORED:
            return self._patch(self._kind(kind), name, write)
        if write.method == "DELETE":
            return self._delete_pod(write.path.split("/")[-1], write.body)
        return self._foreign(write)

    def put(self, kind: dict[str, Body], name: str, body: Body) -> Body:
        """Store an object at the next version, unless it is as it was."""
        before = kind.get(name)
        if before is not None and _same(before, body):
            return before
        self.version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.version)}
        kind[name] = {**body, "metadata": metadata}
        return kind[name]

    def edit(self, kind: dict[str, Body], name: str, change: Body, manager: str = "person") -> Body:
        """Somebody merges *change* into an object, whatever its version."""
        before = kind[name]
        body = merged(before, change)
        was, shall = _unschedulable(before), _unschedulable(body)
        if kind is self.nodes and was != shall:
            body = _managed(body, manager if shall else None)
        return self.put(kind, name, body)

    def hand(self, name: str) -> str | None:
        """Who made a Node unschedulable."""
        fields = self.nodes[name]["metadata"].get("managedFields", ())
        return next((one["manager"] for one in fields), None)

    def bury(self) -> None:
        """All pods that were to end have ended."""
        self.pods = {
            name: pod
            for name, pod in self.pods.items()
            if "deletionTimestamp" not in pod["metadata"]
        }

    def _kind(self, path: str) -> dict[str, Body]:
        stored = {NODES: self.nodes, HEALTHS: self.healths, REMEDIATIONS: self.remediations}
        return stored.get(path, {})

    def _create(self, kind: dict[str, Body], write: Write) -> Body:
        name = write.body["metadata"]["name"]
        if name in kind:
            raise Conflict(f"POST {write.path}", f"{name} exists", status=409)
        stamp = {"creationTimestamp": _wire(self.now), "uid": f"uid-{self.version + 1}"}
        return self.put(kind, name, merged(write.body, {"metadata": stamp}))

    def _patch(self, kind: dict[str, Body], name: str, write: Write) -> Body:
        before = kind.get(name)
        call = f"{write.method} {write.path}"
        if before is None:
            raise NotFound(call, "there is none", status=404)
        wanted = write.body.get("metadata", {})
        for part in ("resourceVersion", "uid"):
            if part in wanted and wanted[part] != before["metadata"][part]:
                raise Conflict(call, f"{part} is {before['metadata'][part]}", status=409)
        change = _bare(write.body)
        if write.path.startswith(HEALTHS) and write.apply:
            # What an apply leaves out, it gives up.
            change = {**change, "spec": {"request": None, **change.get("spec", {})}}
        return self.edit(kind, name, change, write.manager)

    def _evict(self, write: Write) -> Body:
        name = write.body["metadata"]["name"]
        pod = self._pod(name, write.body["deleteOptions"], write.path)
        if self.budget < 1 and "deletionTimestamp" not in pod["metadata"]:
            raise Throttled(f"POST {write.path}", "the budget guard forbids it", status=429)
        return self._end(name, pod)

    def _delete_pod(self, name: str, options: Body) -> Body:
        return self._end(name, self._pod(name, options, name))

    def _pod(self, name: str, options: Body, path: str) -> Body:
        pod = self.pods.get(name)
        if pod is None:
            raise NotFound(path, "there is none", status=404)
        if pod["metadata"]["uid"] != options["preconditions"]["uid"]:
            raise Conflict(path, "another uid", status=409)
        return pod

    def _end(self, name: str, pod: Body) -> Body:
        return self.put(
            self.pods, name, merged(pod, {"metadata": {"deletionTimestamp": _wire(self.now)}})
        )

    def _guard(self, namespace: str) -> Body:
        return {
            "metadata": {"namespace": namespace, "name": "guard", "generation": 1},
            "spec": {"selector": {"matchLabels": {"app": "guarded"}}},
            "status": {
                "observedGeneration": 1,
                "disruptionsAllowed": self.budget,
                "currentHealthy": 1 + self.budget,
                "desiredHealthy": 1,
                "expectedPods": 2,
            },
        }

    def _foreign(self, write: Write) -> Body:
        if write.method == "POST":
            path = f"{write.path}/{write.body['metadata']['name']}"
            if path in self.objects:
                raise Conflict(f"POST {path}", "it exists", status=409)
            return self.put(self.objects, path, write.body)
        if write.path not in self.objects:
            raise NotFound(write.path, "there is none", status=404)
        return self.put(self.objects, write.path, merged(self.objects[write.path], write.body))


_STORED = frozenset({NODES, HEALTHS, REMEDIATIONS})


def merged(body: Mapping[str, Any], change: Mapping[str, Any]) -> Body:
    """JSON merge patch, RFC 7386."""
    result = dict(body)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            old = result.get(key)
            result[key] = merged(old if isinstance(old, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def _bare(body: Body) -> Body:
    """A change without its preconditions."""
    metadata = body.get("metadata", {})
    kept = {k: v for k, v in metadata.items() if k not in {"resourceVersion", "uid"}}
    return {**body, "metadata": kept}


def _same(before: Body, after: Body) -> bool:
    return _bare(before) == _bare(after)


def _unschedulable(node: Body) -> bool:
    return bool(node.get("spec", {}).get("unschedulable"))


def _managed(node: Body, manager: str | None) -> Body:
    entry: Body = {"manager": manager, "fieldsV1": {"f:spec": {"f:unschedulable": {}}}}
    fields = [] if manager is None else [entry]
    return {**node, "metadata": {**node["metadata"], "managedFields": fields}}


def _wire(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
