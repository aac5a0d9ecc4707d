"""The objects of the cluster, read once; what this version cannot read is left out and told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from kernelhealth_operator import kinds
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.held import HealthView, PolicyView
from kernelhealth_operator.policy.situation import Treatment

_CHUNK = "500"
T = TypeVar("T")


async def bodies(session: ApiSession, path: str) -> AsyncIterator[Mapping[str, Any]]:
    """Give every object of one kind; raises ``ApiError``."""
    params = {"limit": _CHUNK}
    while True:
        page = await session.request("GET", path, params=params)
        for body in page.get("items") or ():
            yield body
        token = page["metadata"].get("continue")
        if not token:
            return
        params = {"limit": _CHUNK, "continue": token}


async def every(
    session: ApiSession, path: str, made: Callable[[Mapping[str, Any]], T], notes: list[str]
) -> dict[str, T]:
    """Return every object of a kind by its name; *notes* takes what cannot be read."""
    found: dict[str, T] = {}
    async for body in bodies(session, path):
        name = str(body["metadata"]["name"])
        try:
            found[name] = made(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            kind = path.rpartition("/")[2]
            notes.append(f"{kind} {name} cannot be read by this version ({where}: {first['msg']})")
    return found


async def healths(session: ApiSession, notes: list[str]) -> dict[str, HealthView]:
    """Return the report of each node."""
    return await every(session, kinds.HEALTHS, kinds.health_of, notes)


async def treatments(session: ApiSession, notes: list[str]) -> dict[str, Treatment]:
    """Return every NodeRemediation."""
    return await every(session, kinds.REMEDIATIONS, kinds.treatment_of, notes)


async def policies(session: ApiSession, notes: list[str]) -> dict[str, PolicyView]:
    """Return every KernelHealthPolicy."""
    return await every(session, kinds.POLICIES, kinds.policy_of, notes)


def open_treatment(node: str, every_one: Mapping[str, Treatment]) -> Treatment | None:
    """Return the treatment of *node* that has not ended; the oldest, should there be several."""
    mine = (one for one in every_one.values() if one.spec.node_name == node)
    unfinished = [one for one in mine if not one.status.phase.final]
    return min(unfinished, key=lambda one: (one.created, one.name), default=None)


def last_treatment(node: str, every_one: Mapping[str, Treatment]) -> Treatment | None:
    """Return the newest treatment of *node*, whether it has ended or not."""
    mine = (one for one in every_one.values() if one.spec.node_name == node)
    return max(mine, key=lambda one: (one.created, one.name), default=None)
