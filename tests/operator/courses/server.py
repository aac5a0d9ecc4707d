"""A model of the API server: versions, conflicts, preconditions, evictions, and whose a field is.

What it stands for: kube-apiserver, as far as the operator can tell. Every write gets the next
version, a write that changes nothing gets none, and one that names another version is refused.
Objects are as on the wire, and are never changed in place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from kernelhealth_operator.cluster.errors import Conflict, NotFound
from kernelhealth_operator.kinds import EVENTS, HEALTHS, NODES, POLICIES, REMEDIATIONS
from kernelhealth_operator.policy.situation import Policy

from .patches import Body, applied, bare, managed, merged, same, unschedulable
from .pods import EVICTION, Pods

OPERATOR = "kernelhealth-operator"


@dataclass(frozen=True)
class Write:
    """A request that changes something; *manager* is whose the fields are from then on.

    *sent* is when, of one that is late.
    """

    method: str
    path: str
    body: Body
    manager: str
    apply: bool = False
    sent: datetime | None = None


@dataclass
class Server:
    """Everything that is stored, at *now*.

    *watched* is told of each write before it is carried out, and may object.
    """

    now: datetime
    watched: Callable[[Write], None]
    version: int = 0
    nodes: dict[str, Body] = field(default_factory=dict)
    healths: dict[str, Body] = field(default_factory=dict)
    remediations: dict[str, Body] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    objects: dict[str, Body] = field(default_factory=dict)
    pods: Pods = field(init=False)

    def __post_init__(self) -> None:
        self.pods = Pods(self.put)

    def get(self, path: str) -> Body:
        """What is to be found there; ``NotFound``."""
        if (pods := self.pods.get(path)) is not None:
            return pods
        kind, _, name = path.rpartition("/")
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
            return self.pods.evict(write.path, write.body, self.now)
        kind, _, name = write.path.removesuffix("/status").rpartition("/")
        if write.path == REMEDIATIONS:
            return self._create(self.remediations, write)
        if kind in _STORED:
            return self._patch(self._kind(kind), name, write)
        if write.method == "DELETE":
            return self.pods.delete(write.path.split("/")[-1], write.body, self.now)
        return self._foreign(write)

    def put(self, kind: dict[str, Body], name: str, body: Body) -> Body:
        """Store an object at the next version, unless it is as it was."""
        before = kind.get(name)
        if before is not None and same(before, body):
            return before
        self.version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.version)}
        kind[name] = {**body, "metadata": metadata}
        return kind[name]

    def edit(self, kind: dict[str, Body], name: str, change: Body, manager: str = "person") -> Body:
        """Somebody merges *change* into an object, whatever its version."""
        before = kind[name]
        body = merged(before, change)
        was, shall = unschedulable(before), unschedulable(body)
        if kind is self.nodes and was != shall:
            body = managed(body, manager if shall else None)
        return self.put(kind, name, body)

    def hand(self, name: str) -> str | None:
        """Who made a Node unschedulable."""
        fields = self.nodes[name]["metadata"].get("managedFields", ())
        return next((one["manager"] for one in fields), None)

    def _kind(self, path: str) -> dict[str, Body]:
        stored = {NODES: self.nodes, HEALTHS: self.healths, REMEDIATIONS: self.remediations}
        return stored.get(path, {})

    def _create(self, kind: dict[str, Body], write: Write) -> Body:
        name = write.body["metadata"]["name"]
        if name in kind:
            raise Conflict(f"POST {write.path}", f"{name} exists", status=409)
        created = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        stamp = {"creationTimestamp": created, "uid": f"uid-{self.version + 1}"}
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
        change = bare(write.body)
        if write.path.startswith(HEALTHS) and write.apply:
            # Two managers, each with one field of its own.
            status = write.path.endswith("/status")
            part, only = ("status", "remediation") if status else ("spec", "request")
            return self.put(kind, name, applied(before, change, part, only))
        return self.edit(kind, name, change, write.manager)

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
