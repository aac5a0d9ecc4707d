"""Carries out what is done about a node beside changing it: pods, its agent, other projects."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import Any

from kernelhealth_api.procedure import (
    AskAgent,
    Create,
    DeletePod,
    Effect,
    Evict,
    Merge,
    PatchStatus,
    Withdraw,
)
from kernelhealth_api.remediation import REQUESTED_BY
from kernelhealth_operator.answers import Answers
from kernelhealth_operator.cluster.call import JSON, MERGE_PATCH, Patience
from kernelhealth_operator.cluster.errors import (
    Conflict,
    Forbidden,
    NotFound,
    Rejected,
    ServerFailed,
    Throttled,
    Unreachable,
)
from kernelhealth_operator.fleet import Fleet
from kernelhealth_operator.writes import Writes

_LOGGER = logging.getLogger(__name__)
_ONCE = Patience(attempts=1, timeout=10.0)


@dataclass(frozen=True, slots=True)
class Effects:
    """Does one thing at a time; what is so already, or gone already, is as good as done."""

    writes: Writes
    answers: Answers
    fleet: Fleet

    async def carry_out(self, node: str, effect: Effect) -> None:
        """Does it; raises ``ApiError`` and ``NotLeader``."""
        match effect:
            case AskAgent(request):
                await self._ask(
                    node, request.model_dump(mode="json", by_alias=True, exclude_none=True)
                )
            case Evict():
                await self._evict(effect)
            case DeletePod():
                path = f"/api/v1/namespaces/{effect.namespace}/pods/{effect.name}"
                body = {"apiVersion": "v1", "kind": "DeleteOptions", **_options(effect)}
                with contextlib.suppress(NotFound, Conflict):
                    await self.writes.send("pod deletion", "DELETE", path, body, JSON)
            case Create(path, body):
                with contextlib.suppress(Conflict):
                    await self.writes.send("foreign object", "POST", path, body, JSON)
            case Merge(path, body):
                with contextlib.suppress(NotFound):
                    await self.writes.send("foreign object", "PATCH", path, body, MERGE_PATCH)
            case Withdraw():
                await self._withdraw(effect)
            case PatchStatus(name, body):
                self.answers.fold_node(await self.writes.node_status(name, body))
            case _:
                raise TypeError(f"{type(effect).__name__} is a change of the Node itself")

    async def _ask(self, node: str, request: dict[str, Any]) -> None:
        health = self.fleet.healths.get(node)
        if health is not None:
            self.answers.fold_health(await self.writes.request(node, health.uid, request))

    async def _withdraw(self, effect: Withdraw) -> None:
        """Changes nothing that somebody else asked for; refused if it has changed since."""
        found = (await self.answers.bodies([effect.path]))[effect.path]
        metadata = {} if found is None else found["metadata"]
        if (metadata.get("annotations") or {}).get(REQUESTED_BY) != effect.owner:
            return
        version = metadata["resourceVersion"]
        with contextlib.suppress(NotFound):
            if effect.body is not None:
                asked = effect.body.get("metadata", {})
                body = {**effect.body, "metadata": {**asked, "resourceVersion": version}}
                await self.writes.send("foreign object", "PATCH", effect.path, body, MERGE_PATCH)
            elif metadata.get("deletionTimestamp") is None:
                held = {"uid": metadata["uid"], "resourceVersion": version}
                body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": held}
                await self.writes.send("foreign deletion", "DELETE", effect.path, body, JSON)

    async def _evict(self, pod: Evict) -> None:
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/eviction"
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": _options(pod),
        }
        try:
            await self.writes.send("eviction", "POST", path, body, JSON, _ONCE)
        except (NotFound, Conflict):
            return  # It is gone, or another one by now: the next look tells.
        except Throttled as error:
            _LOGGER.info("Eviction of pod %s/%s has to wait: %s", pod.namespace, pod.name, error)
        except (Forbidden, Rejected, ServerFailed, Unreachable) as error:
            # A webhook's no or its silence, a namespace that is being deleted, two budgets for one
            # pod: that of one shall not keep the others. It is asked again until the time is up.
            _LOGGER.warning("Pod %s/%s was not evicted: %s", pod.namespace, pod.name, error)


def _options(pod: Evict | DeletePod) -> dict[str, Any]:
    options: dict[str, Any] = {"preconditions": {"uid": pod.uid}}
    if pod.grace_seconds is not None:
        options["gracePeriodSeconds"] = pod.grace_seconds
    return options
