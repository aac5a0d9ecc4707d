"""What all parts of the custom resources have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel


class Resource(BaseModel):
    """A part of a custom resource: camelCase on the wire, frozen inside.

    Fields that this version does not know are dropped on reading and never written, so that an
    older program can serve beside a newer one: both write by server-side apply, which leaves
    alone what the writer does not name.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )


def _rfc3339(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Timestamp = Annotated[
    datetime,
    PlainSerializer(_rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment, to the second and in UTC on the wire, as metav1.Time has it."""

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Resource):
    """A condition in the form of metav1.Condition; times move when the status moves."""

    type: str = Field(description="Which condition this is.", max_length=316)
    status: ConditionStatus = Field(
        description="True: healthy. False: not. Unknown: it was not measured."
    )
    reason: str = Field(
        description="One word that says why the condition has this status.", max_length=1024
    )
    message: str = Field("", description="The same as a sentence.", max_length=4096)
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    observed_generation: int | None = Field(
        None, ge=0, description="The generation of the spec that was judged."
    )


MAP_BY_TYPE: dict[str, Any] = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
}
"""Schema of a list whose items are told apart by their type."""
