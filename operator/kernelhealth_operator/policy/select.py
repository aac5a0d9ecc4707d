"""Which policy governs a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kernelhealth_api.v1alpha1.selector import LabelRequirement, LabelSelector
from kernelhealth_operator.policy.situation import Policy


@dataclass(frozen=True, slots=True)
class Selection:
    """The policy that governs a node, and those that would if it did not exist, best first."""

    policy: Policy | None
    losers: tuple[Policy, ...] = ()


def select(policies: Iterable[Policy], labels: Mapping[str, str]) -> Selection:
    """Return which of *policies* governs a node with *labels*.

    The highest priority wins, then the older policy, then the name. A policy that is not Ready
    governs all the same: were it skipped, a typing error would hand its nodes to another policy.
    """
    matching = [each for each in policies if selects(each.spec.node_selector, labels)]
    matching.sort(key=lambda each: (-each.spec.priority, each.created, each.name))
    return Selection(matching[0], tuple(matching[1:])) if matching else Selection(None)


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether *labels* meet *selector*, by the rules of metav1.LabelSelector.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
    """
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _meets(requirement, labels) for requirement in selector.match_expressions
    )


def _meets(requirement: LabelRequirement, labels: Mapping[str, str]) -> bool:
    present = requirement.key in labels
    match requirement.operator:
        case "In":
            return present and labels[requirement.key] in requirement.values
        case "NotIn":
            # Kubernetes: a node without the label meets NotIn.
            return not present or labels[requirement.key] not in requirement.values
        case "Exists":
            return present
        case "DoesNotExist":
            return not present
        case _:
            # The schema refuses other words; one from a newer version selects nothing.
            return False
