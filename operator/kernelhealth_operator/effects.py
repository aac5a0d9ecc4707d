"""Carries out what is done about a node beside changing it: pods, its agent, other projects."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import Any

from kernelhealth_api.procedure import AskAgent, Create, DeletePod, Effect, Evict, Merge
from kernelhealth_operator.answers import Answers
from kernelhealth_operator.cluster.call import JSON, MERGE_PATCH, Patience
from kernelhealth_operator.cluster.errors import Conflict, NotFound, Throttled
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
            case _:
                raise TypeError(f"{type(effect).__name__} is a change of the Node itself")

    async def _ask(self, node: str, request: dict[str, Any]) -> None:
        health = self.fleet.healths.get(node)
        if health is not None:
            self.answers.fold_health(await self.writes.request(node, health.uid, request))

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


def _options(pod: Evict | DeletePod) -> dict[str, Any]:
    options: dict[str, Any] = {"preconditions": {"uid": pod.uid}}
    if pod.grace_seconds is not None:
        options["gracePeriodSeconds"] = pod.grace_seconds
    return options
