"""A cluster without kubelets: nodes and reports are written by hand, what follows is awaited."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from kernelhealth_e2e.props import (
    DEADLINE,
    EVENTS,
    HEALTHS,
    KIND,
    LEASES,
    NODES,
    POLICIES,
    REMEDIATIONS,
    Object,
    condition,
    is_cordoned,
    ready,
    registered,
    reported,
)
from kernelhealth_operator.cluster.call import APPLY_PATCH, MERGE_PATCH, Patience
from kernelhealth_operator.cluster.errors import ApiError, NotFound
from kernelhealth_operator.cluster.session import ApiSession

_PATIENT = Patience(attempts=8)


@dataclass(slots=True)
class Stage:
    """Plays the kubelets, the agents and the people of a cluster; times in seconds."""

    session: ApiSession
    stamps: itertools.count[int] = field(default_factory=itertools.count)

    async def node(
        self, name: str, labels: Mapping[str, str] | None = None, *, cordoned: bool = False
    ) -> Object:
        """Registers a Node that is Ready."""
        await self.post(NODES, registered(name, labels or {}, cordoned=cordoned))
        return await self.merge(f"{NODES}/{name}/status", ready(name))

    async def report(self, name: str, *reasons: str, severity: str = "Critical") -> Object:
        """Writes what the agent of a node has found, once the node has an object for it."""
        await self.until(HEALTHS, name, bool)
        return await self.report_known(name, *reasons, severity=severity)

    async def report_known(self, name: str, *reasons: str, severity: str = "Critical") -> Object:
        """The same for a node that is known to have an object."""
        return await self.session.request(
            "PATCH",
            f"{HEALTHS}/{name}/status",
            body=reported(name, reasons, severity, next(self.stamps)),
            content_type=APPLY_PATCH,
            field_manager="kernelhealth-agent",
            force=True,
            patience=_PATIENT,
        )

    async def healthy_nodes(self, *names: str) -> None:
        """Registers nodes whose agents have found nothing."""
        for name in names:
            await self.node(name)
        for name in names:
            await self.report(name)

    async def cordoned(self, name: str) -> Object:
        """Waits until the Node is unschedulable."""
        return await self.until(NODES, name, is_cordoned)

    async def schedulable(self, name: str) -> Object:
        """Waits until the Node is schedulable."""
        return await self.until(NODES, name, lambda one: bool(one) and not is_cordoned(one))

    async def mirrored(self, name: str, reason: str) -> Object:
        """Waits until the Node shows *reason*: a look at it has ended that knew of the reason."""
        return await self.until(
            NODES, name, lambda one: condition(one, KIND).get("reason") == reason
        )

    async def phase(self, name: str, phase: str) -> Object:
        """Waits until a treatment of that node is in *phase*."""
        return await self.until(
            REMEDIATIONS,
            None,
            lambda one: (
                bool(one)
                and one["spec"]["nodeName"] == name
                and one.get("status", {}).get("phase") == phase
            ),
        )

    async def policy(self, name: str, **spec: Any) -> Object:
        """Creates a KernelHealthPolicy."""
        body = {
            "apiVersion": "kernelhealth.io/v1alpha1",
            "kind": "KernelHealthPolicy",
            "metadata": {"name": name},
            "spec": spec,
        }
        return await self.post(POLICIES, body)

    async def post(self, path: str, body: Object) -> Object:
        """Creates an object."""
        return await self.session.request("POST", path, body=body, patience=_PATIENT)

    async def merge(self, path: str, body: Object) -> Object:
        """Merges into an object."""
        return await self.session.request(
            "PATCH", path, body=body, content_type=MERGE_PATCH, patience=_PATIENT
        )

    async def get(self, path: str, name: str) -> Object | None:
        """One object, None where there is none."""
        try:
            return await self.session.request("GET", f"{path}/{name}", patience=_PATIENT)
        except NotFound:
            return None

    async def items(self, path: str) -> list[Object]:
        """All objects of a kind."""
        answer = await self.session.request("GET", path, patience=_PATIENT)
        return list(answer["items"])

    async def delete(self, path: str, name: str) -> None:
        """Deletes an object, or leaves it that there is none."""
        try:
            await self.session.request("DELETE", f"{path}/{name}", patience=_PATIENT)
        except NotFound:
            return

    async def clear(self) -> None:
        """Deletes all that a test can have made."""
        for path in (POLICIES, REMEDIATIONS, HEALTHS, NODES, EVENTS, LEASES):
            async with asyncio.timeout(DEADLINE):
                await self.session.request("DELETE", path, patience=_PATIENT)

    async def until(
        self,
        path: str,
        name: str | None,
        true: Callable[[Object], bool],
        seconds: float = DEADLINE,
    ) -> Object:
        """The first state of the named object (None: of any) that *true* holds for.

        Watches; raises ``TimeoutError`` with the last state seen.
        """
        last: Object = {}
        try:
            async with asyncio.timeout(seconds), aclosing(self._states(path, name)) as states:
                async for last in states:
                    if true(last):
                        return last
        except TimeoutError as error:
            seen = json.dumps(last, indent=1)
            raise TimeoutError(f"{path} {name or ''} did not come so far: {seen}") from error
        raise AssertionError("a watch without an end has ended")

    async def _states(self, path: str, name: str | None) -> AsyncGenerator[Object, None]:
        selector = {"fieldSelector": f"metadata.name={name}"} if name else {}
        while True:
            try:
                listed = await self.session.request("GET", path, params=selector, patience=_PATIENT)
                for item in listed["items"]:
                    yield item
                version = listed["metadata"]["resourceVersion"]
                params = {**selector, "watch": "1", "resourceVersion": version}
                async with self.session.stream(path, params, silence=300.0) as pieces:
                    async for item in _objects(pieces):
                        yield item
            except ApiError:
                # An outage that the test plays: the next list says how things stand.
                await asyncio.sleep(0.1)


async def _objects(pieces: AsyncIterator[bytes]) -> AsyncIterator[Object]:
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["type"] == "DELETED":
                yield {}
            elif event["type"] != "ERROR":
                yield event["object"]
