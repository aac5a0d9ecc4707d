"""The Node as remediations see it."""

from __future__ import annotations

from kernelhealth_api.procedure import PatchNode
from kernelhealth_api.remediation import CORDONED_BY, Target
from kernelhealth_operator.policy.decision import ChangeNode
from kernelhealth_operator.policy.situation import Node


def target_of(node: Node) -> Target:
    """Return as much of *node* as remediations look at."""
    return Target(
        node.name,
        node.resource_version,
        node.unschedulable,
        node.cordon_owner,
        node.taken_over,
        taints=node.taints,
        tainted_by=node.taint_owner,
        labels=node.labels,
        annotations=node.annotations,
    )


def confirm(node: Node) -> ChangeNode:
    """Return a patch that changes nothing, but is refused unless *node* is still as it was seen.

    Before a treatment is declared over because the node does not show what was done, this rules
    out that the view of the node is merely older than what was done.
    """
    annotations = {CORDONED_BY: node.cordon_owner}
    metadata = {"resourceVersion": node.resource_version, "annotations": annotations}
    return ChangeNode(PatchNode(node.name, node.resource_version, {"metadata": metadata}))
