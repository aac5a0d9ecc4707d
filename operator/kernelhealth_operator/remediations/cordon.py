"""Cordon: no new pods on the node, until it is healthy again.

A node that is unschedulable already is left as it is: whoever made it so decides when that ends.
The annotation and the cordon travel in one patch, so that there is never one without the other by
our hand; hence the annotation on a *schedulable* node means that a person uncordoned it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kernelhealth_api.procedure import PatchNode
from kernelhealth_api.remediation import (
    CORDONED_BY,
    DisruptionLevel,
    Permission,
    Remediation,
    Settings,
    Target,
)


class Cordon(Settings):
    """Nothing to set."""


def apply(target: Target, owner: str, settings: Cordon) -> Iterator[PatchNode]:  # noqa: ARG001
    """Yield the patch that makes *target* unschedulable in the name of *owner*."""
    if not target.unschedulable:
        # Owned, to be able to tell it from a cordon that a person puts in its place.
        yield replace(_patch(target, owner, {"unschedulable": True}), owned=True)


def revert(target: Target, owner: str) -> Iterator[PatchNode]:
    """Yield the patch that undoes the cordon of *owner*; none for a cordon of anybody else."""
    if target.owner != owner:
        return
    # A person may have uncordoned it, or cordoned it anew: then only the annotation is ours.
    ours = target.unschedulable and not target.taken_over
    yield _patch(target, None, {"unschedulable": None} if ours else None)


def done(target: Target, owner: str) -> bool:
    """Whether no new pods are scheduled to *target*, by whomever; not if ours was taken over."""
    return target.unschedulable and not (target.owner == owner and target.taken_over)


def applied(target: Target, owner: str) -> bool:
    """Whether *target* was cordoned in the name of *owner*, even if a person undid it since."""
    return target.owner == owner


def _patch(target: Target, owner: str | None, spec: dict[str, bool | None] | None) -> PatchNode:
    metadata = {
        "resourceVersion": target.resource_version,
        "annotations": {CORDONED_BY: owner},
    }
    body = {"metadata": metadata} if spec is None else {"metadata": metadata, "spec": spec}
    return PatchNode(target.name, target.resource_version, body)


REMEDIATION = Remediation(
    name="cordon",
    summary="Keeps new pods away from the node until its findings are gone.",
    disruption=DisruptionLevel.SCHEDULING,
    settings=Cordon,
    needs=(Permission("", "nodes", ("get", "patch")),),
    apply=apply,
    revert=revert,
    done=done,
    applied=applied,
    did="NodeCordoned",
    undid="NodeUncordoned",
)
