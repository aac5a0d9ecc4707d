"""``pause`` and ``resume``: of policies by an entry that says who and why, of nodes by a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kernelhealth_kubectl import names, patches, reading
from kernelhealth_kubectl.complaints import EXIT_REFUSED, ComplaintError
from kernelhealth_kubectl.patches import Patch
from kernelhealth_operator import kinds
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.held import PolicyView
from kernelhealth_operator.policy.situation import IGNORE

Outcome = Patch | str


@dataclass(frozen=True, slots=True)
class Scope:
    """What is paused: *nodes* and *policies* by name, or *everything*: all policies."""

    nodes: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    everything: bool = False


async def paused(session: ApiSession, scope: Scope, who: str, why: str) -> list[Outcome]:
    """Return what pauses *scope*; raises ``ComplaintError`` and ``ApiError``."""
    labels = await _labels(session, scope.nodes)
    found: list[Outcome] = [
        f"node {name} is left out already"
        if labels[name].get(IGNORE) == "true"
        else patches.leave_out(name, f"{who}: {why}")
        for name in scope.nodes
    ]
    for view in await _policies(session, scope):
        held, entry = view.spec.pause_requests, f"{who}: {why}"
        if entry in held:
            found.append(f"policy {view.name} is paused by that already")
        else:
            found.append(patches.pause(view.name, held, entry))
    return found


async def resumed(session: ApiSession, scope: Scope, who: str, *, everybody: bool) -> list[Outcome]:
    """Return what ends the pauses of *who*, or of *everybody*.

    Raises ``ComplaintError`` where others keep it paused, and ``ApiError``.
    """
    labels = await _labels(session, scope.nodes)
    found: list[Outcome] = [
        patches.take_in(name) if IGNORE in labels[name] else f"node {name} is not left out"
        for name in scope.nodes
    ]
    return [*found, *(_resume(view, who, everybody) for view in await _policies(session, scope))]


def _resume(view: PolicyView, who: str, everybody: bool) -> Outcome:  # noqa: FBT001 - as it came
    held = view.spec.pause_requests
    if not held:
        return f"policy {view.name} is not paused"
    left = [] if everybody else [each for each in held if not each.startswith(f"{who}: ")]
    if len(left) == len(held):
        others = "; ".join(left)
        what = f"policy {view.name} is not paused by {who}, but by: {others}"
        raise ComplaintError(f"{what}; --everybody ends their pauses too", EXIT_REFUSED)
    return patches.resume(view.name, held, left, _still(left))


def _still(left: Sequence[str]) -> str:
    return f"resumed for you, still paused by: {'; '.join(left)}" if left else "resumed"


async def _labels(session: ApiSession, wanted: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    if not wanted:
        return {}
    views = await reading.every(session, kinds.NODES, kinds.node_of, [])
    for name in wanted:
        if name not in views:
            raise names.unknown(f"there is no node {name!r}", name, views, "kubectl get nodes")
    return {name: views[name].labels for name in wanted}


async def _policies(session: ApiSession, scope: Scope) -> list[PolicyView]:
    if not scope.policies and not scope.everything:
        return []
    notes: list[str] = []
    views = await reading.policies(session, notes)
    if scope.everything:
        if notes:
            raise ComplaintError("; ".join(notes))
        if not views:
            what = "there is no KernelHealthPolicy: nothing is done to any node as it is"
            raise ComplaintError(what, EXIT_REFUSED)
        return [views[name] for name in sorted(views)]
    for name in scope.policies:
        if name not in views:
            raise names.unknown(f"there is no policy {name!r}", name, views, "kubectl get khp")
    return [views[name] for name in scope.policies]
