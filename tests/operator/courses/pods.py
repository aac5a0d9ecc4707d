"""The pods of the model: evicted if their budget lets them go, deleted, and ended some time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from kernelhealth_operator.cluster.errors import Conflict, NotFound, Throttled

from .patches import Body, merged

PODS, BUDGETS, EVICTION = "/api/v1/pods", "/poddisruptionbudgets", "/eviction"


@dataclass
class Pods:
    """All pods, by name; *budget* is how many may be evicted still, *put* stores one.

    While it *grudges* nobody may be, whatever the budget says: it has moved since it was read.
    """

    put: Callable[[dict[str, Body], str, Body], Body]
    budget: int = 1
    grudges: bool = False
    stored: dict[str, Body] = field(default_factory=dict)

    def get(self, path: str) -> Body | None:
        """What is to be found there, if it is about pods."""
        parts = urlsplit(path)
        if parts.path == PODS:
            selected = parse_qs(parts.query)["fieldSelector"][0].removeprefix("spec.nodeName=")
            return {"items": [p for p in self.stored.values() if p["spec"]["nodeName"] == selected]}
        if parts.path.endswith(BUDGETS):
            return {"items": [self._guard(parts.path.split("/")[-2])]}
        return None

    def evict(self, path: str, body: Body, now: datetime) -> Body:
        """A pod is to go; ``Throttled`` if its budget forbids it."""
        name = body["metadata"]["name"]
        pod = self._pod(name, body["deleteOptions"], path)
        if (self.grudges or self.budget < 1) and "deletionTimestamp" not in pod["metadata"]:
            raise Throttled(f"POST {path}", "the budget guard forbids it", status=429)
        return self._end(name, pod, now)

    def delete(self, name: str, options: Body, now: datetime) -> Body:
        """A pod has to go."""
        return self._end(name, self._pod(name, options, name), now)

    def resist(self, how: str, *, on: bool) -> None:
        """From now on (or no longer) a budget is used up, or every eviction is *grudged*."""
        if how == "grudged":
            self.grudges = on
        else:
            self.budget = 0 if on else 1

    def bury(self) -> None:
        """All pods that were to end have ended."""
        self.stored = {
            name: pod
            for name, pod in self.stored.items()
            if "deletionTimestamp" not in pod["metadata"]
        }

    def _pod(self, name: str, options: Body, path: str) -> Body:
        pod = self.stored.get(name)
        if pod is None:
            raise NotFound(path, "there is none", status=404)
        if pod["metadata"]["uid"] != options["preconditions"]["uid"]:
            raise Conflict(path, "another uid", status=409)
        return pod

    def _end(self, name: str, pod: Body, now: datetime) -> Body:
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return self.put(self.stored, name, merged(pod, {"metadata": {"deletionTimestamp": stamp}}))

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
