"""``approve``, ``reject``, ``cancel``: a person's word about a treatment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kernelhealth_api.v1alpha1.noderemediation import Decision
from kernelhealth_kubectl import names, patches, reading
from kernelhealth_kubectl.complaints import EXIT_REFUSED, ComplaintError
from kernelhealth_kubectl.patches import Patch
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.policy.situation import Treatment


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be said about the treatment *name* (or of that node), and why."""

    name: str
    decision: Decision
    who_and_why: str | None = None


async def decided(session: ApiSession, said: Said) -> Patch | str:
    """Return the patch that says it, or the sentence that it has been said already.

    Raises ``ComplaintError`` where there is nothing to be said, and ``ApiError``.
    """
    every = await reading.treatments(session, [])
    return worded(meant(said.name, every), said)


def meant(name: str, every: Mapping[str, Treatment]) -> Treatment:
    """Return the treatment of that name, or the open one of the node of that name."""
    if name in every:
        return every[name]
    found = reading.open_treatment(name, every)
    if found is not None:
        return found
    last = reading.last_treatment(name, every)
    if last is not None:
        raise ended(last, f"node {name} has no open NodeRemediation; its last one, {last.name},")
    open_ones = [one for one in every.values() if not one.status.phase.final]
    known = {one.name for one in open_ones} | {one.spec.node_name for one in open_ones}
    what = f"there is no NodeRemediation {name!r}, and no node of that name has one"
    raise names.unknown(what, name, known, "kubectl kernelhealth list")


def ended(one: Treatment, who: str) -> ComplaintError:
    """Return the complaint that nothing can be decided about *one* any more."""
    when: datetime | None = one.status.finished_at
    at = f" at {when:%Y-%m-%d %H:%M:%S}Z" if when else ""
    what = f"{who} ended{at} as {one.status.phase}: nothing is left to decide"
    return ComplaintError(what, EXIT_REFUSED)


def worded(one: Treatment, said: Said) -> Patch | str:
    """Return the patch for the treatment *one*, or that it is so already."""
    if one.status.phase.final:
        raise ended(one, f"NodeRemediation {one.name}")
    before = one.spec.decision
    if before is said.decision:
        return f"NodeRemediation {one.name} is {str(before).lower()} already"
    if before in {Decision.REJECTED, Decision.CANCELLED}:
        what = f"NodeRemediation {one.name} was {str(before).lower()}, which is final"
        raise ComplaintError(f"{what}: should the findings stay, a new one follows", EXIT_REFUSED)
    if said.decision is Decision.REJECTED and one.status.started_at is not None:
        what = f"NodeRemediation {one.name} has begun already"
        better = f"{what}: kubectl kernelhealth cancel {one.name} ends it"
        raise ComplaintError(better, EXIT_REFUSED)
    return patches.decide(one.name, said.decision, said.who_and_why)
