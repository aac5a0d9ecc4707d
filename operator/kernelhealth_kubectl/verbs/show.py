"""``show``: one node with its treatment, or one treatment with its node."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from kernelhealth_kubectl import names, reading
from kernelhealth_kubectl.pages.treatment import Shown
from kernelhealth_kubectl.patches import BECAUSE, IGNORED_BECAUSE
from kernelhealth_operator import kinds
from kernelhealth_operator.cluster.errors import Forbidden, NotFound
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.held import HealthView
from kernelhealth_operator.policy.situation import IGNORE, Treatment


async def shown(session: ApiSession, name: str, now: datetime) -> Shown:
    """Return the node or NodeRemediation *name*.

    Raises ``ComplaintError`` where there is neither, and ``ApiError``.
    """
    notes: list[str] = []
    healths = await reading.healths(session, notes)
    every = await reading.treatments(session, notes)
    named = every.get(name)
    node = name if named is None else named.spec.node_name
    treatment = named or reading.open_treatment(node, every)
    if treatment is None and node not in healths:
        raise _unknown(name, healths, every)
    earlier = () if named is not None else _earlier(node, every)
    said = {} if treatment is None else await _annotations(session, treatment)
    ignored = await _ignored(session, node)
    return Shown(node, healths.get(node), treatment, now, said.get(BECAUSE), ignored, earlier)


def _unknown(
    name: str, healths: Mapping[str, HealthView], every: Mapping[str, Treatment]
) -> Exception:
    known = {*healths, *every}
    what = f"there is no node and no NodeRemediation {name!r}"
    return names.unknown(what, name, known, "kubectl kernelhealth list --all")


def _earlier(node: str, every: Mapping[str, Treatment]) -> tuple[Treatment, ...]:
    mine = (one for one in every.values() if one.spec.node_name == node)
    ended = (one for one in mine if one.status.phase.final)
    return tuple(sorted(ended, key=lambda one: (one.created, one.name), reverse=True))


async def _annotations(session: ApiSession, one: Treatment) -> Mapping[str, Any]:
    body = await session.request("GET", f"{kinds.REMEDIATIONS}/{one.name}")
    return body["metadata"].get("annotations") or {}


async def _ignored(session: ApiSession, node: str) -> str | None:
    try:
        body = await session.request("GET", f"{kinds.NODES}/{node}")
    except (NotFound, Forbidden):
        return None
    metadata = body["metadata"]
    if (metadata.get("labels") or {}).get(IGNORE) != "true":
        return None
    annotations = metadata.get("annotations") or {}
    return str(annotations.get(IGNORED_BECAUSE, "somebody who did not say why"))
