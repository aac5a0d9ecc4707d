"""The only way the operator changes anything: each write asks first whether it still leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernelhealth_api.v1alpha1 import API_VERSION
from kernelhealth_api.v1alpha1.nodekernelhealth import OPERATOR, REQUESTER
from kernelhealth_operator.cluster.call import (
    APPLY_PATCH,
    JSON,
    MERGE_PATCH,
    Guard,
    Json,
    Patience,
)
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.kinds import EVENTS, HEALTHS, NODES, POLICIES, REMEDIATIONS

STRATEGIC_PATCH = "application/strategic-merge-patch+json"

_ONCE = Patience(attempts=1, timeout=10.0)


@dataclass(slots=True)
class WriteCounters:
    """How many writes of which kind were sent since the start, for metrics."""

    sent: dict[str, int]


class Writes:
    """Fenced writes; each returns the object as the API server answered it.

    All raise ``ApiError``, and ``NotLeader`` when nothing was sent because the lease is lost.
    """

    def __init__(self, session: ApiSession, fence: Guard) -> None:
        self._session = session
        self._fence = fence
        self.counters = WriteCounters({})

    async def health(self, name: str, node_uid: str, spec: Mapping[str, Any]) -> Json:
        """Applies the spec of a NodeKernelHealth, owned by its Node; creates it if need be.

        The reference does not block the Node's deletion: garbage collection follows it.
        """
        owner = {
            "apiVersion": "v1",
            "kind": "Node",
            "name": name,
            "uid": node_uid,
            "blockOwnerDeletion": False,
        }
        metadata = {"name": name, "ownerReferences": [owner]}
        return await self._apply(f"{HEALTHS}/{name}", "spec", metadata, spec)

    async def health_status(self, name: str, uid: str, status: Mapping[str, Any]) -> Json:
        """Applies the operator's part of a NodeKernelHealth's status, taking it over if need be.

        With the *uid* the apply never creates an object that was deleted meanwhile.
        """
        metadata = {"name": name, "uid": uid}
        return await self._apply(f"{HEALTHS}/{name}/status", "status", metadata, status)

    async def node(self, name: str, body: Mapping[str, Any]) -> Json:
        """Merges *body*, which carries its resourceVersion, into a Node."""
        return await self.send("node", "PATCH", f"{NODES}/{name}", body, MERGE_PATCH)

    async def owned_node(self, name: str, body: Mapping[str, Any]) -> Json:
        """Applies *body*, which carries its resourceVersion, to a Node, as the operator's own."""
        self._note("node")
        return await self._session.request(
            "PATCH",
            f"{NODES}/{name}",
            body={"apiVersion": "v1", "kind": "Node", **body},
            content_type=APPLY_PATCH,
            field_manager=OPERATOR,
            force=True,
            guard=self._fence,
        )

    async def node_status(self, name: str, body: Mapping[str, Any]) -> Json:
        """Merges *body* into a Node and its status, conditions by their type."""
        path = f"{NODES}/{name}/status"
        return await self.send("node status", "PATCH", path, body, STRATEGIC_PATCH)

    async def create_remediation(self, name: str, spec: Mapping[str, Any]) -> Json:
        """Creates a NodeRemediation; ``Conflict`` when there is one of that name."""
        body = {
            "apiVersion": API_VERSION,
            "kind": "NodeRemediation",
            "metadata": {"name": name},
            "spec": spec,
        }
        return await self.send("remediation", "POST", REMEDIATIONS, body, JSON)

    async def remediation_status(
        self, name: str, resource_version: str, status: Mapping[str, Any]
    ) -> Json:
        """Replaces the fields in *status* (None removes one) if still at *resource_version*."""
        body = {"metadata": {"resourceVersion": resource_version}, "status": status}
        path = f"{REMEDIATIONS}/{name}/status"
        return await self.send("remediation status", "PATCH", path, body, MERGE_PATCH)

    async def delete_remediation(self, name: str, resource_version: str) -> None:
        """Deletes a NodeRemediation if still at *resource_version*."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"resourceVersion": resource_version},
        }
        await self.send("remediation deletion", "DELETE", f"{REMEDIATIONS}/{name}", body, JSON)

    async def policy_status(
        self, name: str, resource_version: str, status: Mapping[str, Any]
    ) -> Json:
        """Replaces the fields in *status* (None removes one) if still at *resource_version*."""
        body = {"metadata": {"resourceVersion": resource_version}, "status": status}
        path = f"{POLICIES}/{name}/status"
        return await self.send("policy status", "PATCH", path, body, MERGE_PATCH)

    async def event(self, body: Mapping[str, Any]) -> Json:
        """Raises an Event; it is tried once, since nothing rests on it."""
        return await self.send("event", "POST", EVENTS, body, JSON, _ONCE)

    async def event_series(self, name: str, series: Mapping[str, Any]) -> Json:
        """Counts a repeated Event."""
        path, body = f"{EVENTS}/{name}", {"series": series}
        return await self.send("event", "PATCH", path, body, MERGE_PATCH, _ONCE)

    async def request(self, name: str, uid: str, request: Mapping[str, Any] | None) -> Json:
        """Applies what the agent is asked to do; None takes it back.

        With the *uid* the apply never creates an object that was deleted meanwhile.
        """
        content = {} if request is None else {"request": request}
        metadata = {"name": name, "uid": uid}
        return await self._apply(f"{HEALTHS}/{name}", "spec", metadata, content, REQUESTER)

    async def _apply(
        self,
        path: str,
        part: str,
        metadata: Mapping[str, Any],
        content: Mapping[str, Any],
        manager: str = OPERATOR,
    ) -> Json:
        body: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": "NodeKernelHealth",
            "metadata": metadata,
        }
        # An empty map in place of a full one becomes null in structured-merge-diff (v6), which the
        # API server then refuses; leaving it out gives up the same fields.
        if content:
            body[part] = content
        self._note(f"health {part}")
        return await self._session.request(
            "PATCH",
            path,
            body=body,
            content_type=APPLY_PATCH,
            field_manager=manager,
            force=True,
            guard=self._fence,
        )

    async def send(  # noqa: PLR0913, PLR0917 - what a request is made of
        self,
        what: str,
        method: str,
        path: str,
        body: Mapping[str, Any],
        content_type: str,
        patience: Patience | None = None,
    ) -> Json:
        """Sends one write; *what* is how it is counted."""
        self._note(what)
        return await self._session.request(
            method,
            path,
            body=body,
            content_type=content_type,
            field_manager=OPERATOR if method != "DELETE" else None,
            guard=self._fence,
            patience=patience,
        )

    def _note(self, what: str) -> None:
        self.counters.sent[what] = self.counters.sent.get(what, 0) + 1
