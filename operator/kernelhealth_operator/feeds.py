"""What comes in from the cluster, handed on to what is known of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from kernelhealth_operator import kinds
from kernelhealth_operator.cluster.envelope import M
from kernelhealth_operator.cluster.errors import expect_history
from kernelhealth_operator.cluster.holdings import ChangeKind, V
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.cluster.watch import NarrowWatch
from kernelhealth_operator.fleet import Fleet
from kernelhealth_operator.policies import Policies

_LOGGER = logging.getLogger(__name__)
_CHUNK = "500"


async def follow(
    watch: NarrowWatch[M, V], put: Callable[[V], None], drop: Callable[[V], None]
) -> None:
    """Hands on the changes of one kind, until cancelled."""
    async with aclosing(watch.changes()) as changes:
        async for change in changes:
            (drop if change.kind is ChangeKind.DELETED else put)(change.object)


@dataclass(frozen=True, slots=True)
class Feeds:
    """The kinds with few objects: their events come from kopf, their lists are our own."""

    session: ApiSession
    fleet: Fleet
    policies: Policies

    def policy(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """Takes in an event about a KernelHealthPolicy; *kind* is None for one listed."""
        if kind == "DELETED":
            self.policies.drop(_name(body))
        else:
            self.policies.take(body)

    def treatment(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """Takes in an event about a NodeRemediation; one that cannot be read changes nothing."""
        name = _name(body)
        try:
            one = kinds.treatment_of(body)
        except ValidationError as error:
            _LOGGER.error("NodeRemediation %s cannot be read: %s", name, error)  # noqa: TRY400
            return
        if kind == "DELETED":
            self.fleet.drop_treatment(one)
        else:
            self.fleet.put_treatment(one)

    async def sweep(self) -> None:
        """Lists both kinds; whatever an interrupted watch did not tell is made good by that.

        kopf does not tell which objects vanished while it was not watching, and says nowhere that
        its first list is complete. Raises ``ApiError`` and ``HistoryLost``.
        """
        await self.sweep_policies()
        treatments, take = self.fleet.treatments, partial(self.treatment, None)
        names, version = await self._list(kinds.REMEDIATIONS, take, treatments.newest())
        for one in treatments.missing(names, version):
            self.fleet.drop_treatment(one)

    async def sweep_policies(self) -> None:
        """Lists the policies, of which there are few; raises ``ApiError`` and ``HistoryLost``."""
        views = self.policies.views
        names, version = await self._list(kinds.POLICIES, self.policies.take, views.newest())
        for view in views.missing(names, version):
            self.policies.drop(view.name)

    async def _list(
        self, path: str, take: Callable[[Mapping[str, Any]], None], seen: int
    ) -> tuple[list[str], int]:
        """Hands all objects to *take*; returns their names, and when the list is true for.

        *seen* is the newest resourceVersion that was held before the list was asked for.

        No more than one page of bodies is held: tens of thousands of treatments may be kept.
        """
        names: list[str] = []
        params = {"limit": _CHUNK}
        while True:
            page = await self.session.request("GET", path, params=params)
            metadata = page["metadata"]
            expect_history(f"LIST {path}", metadata["resourceVersion"], seen)
            for body in page.get("items") or ():
                names.append(_name(body))
                take(body)
            if not metadata.get("continue"):
                return names, int(metadata["resourceVersion"])
            params = {"limit": _CHUNK, "continue": metadata["continue"]}


def _name(body: Mapping[str, Any]) -> str:
    return str(body["metadata"]["name"])
