"""Selectors of nodes by their labels."""

from __future__ import annotations

from pydantic import Field

from kernelhealth_api.v1alpha1.resource import Resource


class LabelRequirement(Resource):
    """One requirement of a label selector, as in metav1.LabelSelectorRequirement."""

    key: str = Field(description="The label.", min_length=1, max_length=317)
    operator: str = Field(
        description="In, NotIn, Exists or DoesNotExist.",
        json_schema_extra={"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
    )
    values: tuple[str, ...] = Field((), description="For In and NotIn.", max_length=64)


class LabelSelector(Resource):
    """A label selector, as in metav1.LabelSelector; all requirements must hold."""

    match_labels: dict[str, str] = Field(
        default_factory=dict, description="Labels that the node must have with these values."
    )
    match_expressions: tuple[LabelRequirement, ...] = Field(
        (), description="Requirements that the node's labels must meet.", max_length=32
    )
