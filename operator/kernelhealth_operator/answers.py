"""Live reading of single objects; each answer is folded into what is known."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from kernelhealth_operator import kinds
from kernelhealth_operator.cluster.call import Json
from kernelhealth_operator.cluster.errors import NotFound, Unreadable
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.cluster.views import NodeView
from kernelhealth_operator.fleet import Fleet
from kernelhealth_operator.policy.situation import Treatment


class PolicyTaker(Protocol):
    """Whoever keeps the policies."""

    def take(self, body: Json) -> None:
        """Takes in a KernelHealthPolicy."""

    def drop(self, name: str) -> None:
        """Takes in that a KernelHealthPolicy was deleted."""


@dataclass(frozen=True, slots=True)
class LiveNode:
    """A Node as it is now; *taken_over*: somebody else made it unschedulable since we did."""

    view: NodeView
    taken_over: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """What the API server itself says, asked past every cache; all raise ``ApiError``."""

    session: ApiSession
    fleet: Fleet
    policies: PolicyTaker

    async def node(self, name: str) -> LiveNode | None:
        """The Node as it is now, None where there is none."""
        try:
            body = await self.session.request("GET", f"{kinds.NODES}/{name}")
        except NotFound:
            gone = self.fleet.nodes.get(name)
            if gone is not None:
                self.fleet.drop_node(gone)
            return None
        try:
            view = self.fold_node(body)
        except ValidationError as error:
            raise _unreadable(kinds.NODES, name, error) from error
        return LiveNode(view, kinds.cordon_taken_over(body))

    async def policy(self, name: str) -> None:
        """Takes in a KernelHealthPolicy as it is now, or that there is none."""
        try:
            body = await self.session.request("GET", f"{kinds.POLICIES}/{name}")
        except NotFound:
            self.policies.drop(name)
        else:
            self.policies.take(body)

    async def treatment(self, name: str) -> Treatment | None:
        """The NodeRemediation as it is now, None only where there is none.

        One that cannot be read raises ``Unreadable``: whatever it says, it is there.
        """
        try:
            body = await self.session.request("GET", f"{kinds.REMEDIATIONS}/{name}")
        except NotFound:
            gone = self.fleet.treatments.get(name)
            if gone is not None:
                self.fleet.drop_treatment(gone)
            return None
        try:
            one = kinds.treatment_of(body)
        except ValidationError as error:
            raise _unreadable(kinds.REMEDIATIONS, name, error) from error
        self.fleet.put_treatment(one)
        return one

    async def bodies(self, paths: Iterable[str]) -> dict[str, Json | None]:
        """What is to be found at those paths now, None where there is nothing."""
        found: dict[str, Json | None] = {}
        for path in paths:
            try:
                found[path] = await self.session.request("GET", path)
            except NotFound:
                found[path] = None
        return found

    def fold_node(self, body: Json) -> NodeView:
        """Takes in a Node that was answered to a read or a write."""
        view = kinds.node_of(body)
        self.fleet.put_node(view)
        return view

    def fold_health(self, body: Json) -> None:
        """Takes in a NodeKernelHealth that was answered to a write, if it fits its schema.

        The watch tells about one that does not, and its agent counts as silent.
        """
        with contextlib.suppress(ValidationError):
            self.fleet.put_health(kinds.health_of(body))

    def fold_treatment(self, body: Json) -> None:
        """Takes in a NodeRemediation that was answered to a write, if it fits its schema."""
        with contextlib.suppress(ValidationError):
            self.fleet.put_treatment(kinds.treatment_of(body))


def _unreadable(path: str, name: str, error: ValidationError) -> Unreadable:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return Unreadable(f"GET {path}/{name}", f"{where}: {first['msg']}")
