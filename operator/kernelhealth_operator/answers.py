"""Live reading of single objects; each answer is folded into what is known."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from pydantic import ValidationError

from kernelhealth_operator import kinds
from kernelhealth_operator.cluster.call import Json
from kernelhealth_operator.cluster.errors import NotFound
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.cluster.views import NodeView
from kernelhealth_operator.fleet import Fleet
from kernelhealth_operator.policy.situation import Treatment


@dataclass(frozen=True, slots=True)
class Answers:
    """What the API server itself says, asked past every cache; all raise ``ApiError``."""

    session: ApiSession
    fleet: Fleet

    async def node(self, name: str) -> NodeView | None:
        """The Node as it is now, None where there is none."""
        try:
            body = await self.session.request("GET", f"{kinds.NODES}/{name}")
        except NotFound:
            gone = self.fleet.nodes.get(name)
            if gone is not None:
                self.fleet.drop_node(gone)
            return None
        return self.fold_node(body)

    async def treatment(self, name: str) -> Treatment | None:
        """The NodeRemediation as it is now, None where there is none."""
        try:
            body = await self.session.request("GET", f"{kinds.REMEDIATIONS}/{name}")
        except NotFound:
            gone = self.fleet.treatments.get(name)
            if gone is not None:
                self.fleet.drop_treatment(gone)
            return None
        return self.fold_treatment(body)

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

    def fold_treatment(self, body: Json) -> Treatment | None:
        """Takes in a NodeRemediation that was answered; None where it does not fit its schema."""
        try:
            one = kinds.treatment_of(body)
        except ValidationError:
            return None
        self.fleet.put_treatment(one)
        return one
