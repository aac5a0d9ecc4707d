"""Giving back what was done to a node: elsewhere first, then on the Node, all marks at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kernelhealth_api.procedure import PatchNode
from kernelhealth_api.remediation import Action
from kernelhealth_operator.policy.decision import ChangeNode, Do, Step
from kernelhealth_operator.policy.situation import Treatment


def steps(node: str, changes: Iterable[Action]) -> tuple[Step, ...]:
    """Return the steps that make *changes*, which undo what was done about *node*.

    The Node is changed last: its marks say what is still to be taken back elsewhere. They go in one
    change, for a node that bears only some of them looks as if a person took the others away.
    """
    every = tuple(changes)
    elsewhere = tuple(Do(node, each) for each in every if not isinstance(each, PatchNode))
    marks = [each for each in every if isinstance(each, PatchNode)]
    return (*elsewhere, ChangeNode(_together(marks))) if marks else elsewhere


def handed_over(treatment: Treatment) -> bool:
    """Whether another project was asked to replace the node of *treatment*."""
    rungs = treatment.status.rungs
    return any(rung.action == "replace" and rung.state in {"Running", "Done"} for rung in rungs)


def _together(changes: Iterable[PatchNode]) -> PatchNode:
    """Return one change that is all of *changes*, which are of the same Node as it was seen."""
    first, *others = changes
    body = first.body
    for each in others:
        body = _merged(body, each.body)
    return replace(first, body=body)


def _merged(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(left[key], right[key])
        for key in left.keys() & right.keys()
        if isinstance(left[key], Mapping) and isinstance(right[key], Mapping)
    }
    return {**left, **right, **both}
