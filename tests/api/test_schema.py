from __future__ import annotations

import enum
from datetime import timedelta
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from kernelhealth_api.duration import Duration
from kernelhealth_api.schema import Defaults, Schema, structural
from kernelhealth_api.v1alpha1.resource import Resource


class Colour(enum.StrEnum):
    """A colour."""

    RED = "Red"
    BLUE = "Blue"


class Wheel(Resource):
    """A wheel."""

    spokes: int = Field(12, gt=0, lt=100, description="How many spokes.")


class Engine(Resource):
    """An engine that has to have a name."""

    name: str = Field(description="Its name.")
    power: int = Field(7, description="Its power.")


class Vehicle(Resource):
    """A vehicle."""

    front_wheel: Wheel = Field(default_factory=Wheel, description="The wheel in front.")
    wheels: tuple[Wheel, ...] = Field((), max_length=3, description="All wheels.")
    engine: Engine = Field(description="The engine.")
    colour: Colour | None = Field(None, description="Its colour, if painted.")
    kind: Literal["bicycle"] = Field("bicycle", description="What it is.")
    rest: Duration = Field(timedelta(minutes=90), description="Between two rides.")
    share: Annotated[str | int, Field(json_schema_extra={"x-kubernetes-int-or-string": True})] = (
        Field("10%", description="How much.")
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Labels.")
    anything: dict[str, Any] = Field(default_factory=dict, description="Whatever.")


@pytest.fixture
def stored() -> Schema:
    properties: Schema = structural(Vehicle, Defaults.STORED)["properties"]
    return properties


def test_a_reference_is_replaced_by_what_it_refers_to_under_the_words_of_the_field(
    stored: Schema,
) -> None:
    assert stored["frontWheel"]["properties"]["spokes"]["type"] == "integer"
    assert stored["frontWheel"]["description"] == "The wheel in front."


def test_the_items_of_a_list_are_written_out_and_counted(stored: Schema) -> None:
    assert stored["wheels"]["items"]["properties"]["spokes"]["type"] == "integer"
    assert stored["wheels"]["maxItems"] == 3


def test_an_optional_field_has_one_type_and_is_not_required(stored: Schema) -> None:
    assert stored["colour"] == {
        "description": "Its colour, if painted.",
        "enum": ["Red", "Blue"],
        "type": "string",
    }
    assert structural(Vehicle)["required"] == ["engine"]


def test_a_constant_is_an_enumeration_of_one(stored: Schema) -> None:
    assert stored["kind"]["enum"] == ["bicycle"]
    assert stored["kind"]["type"] == "string"


def test_an_exclusive_bound_is_a_bound_with_a_boolean_beside_it(stored: Schema) -> None:
    spokes = stored["frontWheel"]["properties"]["spokes"]

    assert (spokes["minimum"], spokes["exclusiveMinimum"]) == (0, True)
    assert (spokes["maximum"], spokes["exclusiveMaximum"]) == (100, True)


def test_a_number_or_a_string_is_int_or_string_in_the_one_form_that_is_allowed(
    stored: Schema,
) -> None:
    assert stored["share"]["x-kubernetes-int-or-string"] is True
    assert stored["share"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert "type" not in stored["share"]


def test_a_map_of_strings_says_what_its_values_are(stored: Schema) -> None:
    assert stored["labels"]["additionalProperties"] == {"type": "string"}


def test_a_map_of_anything_is_kept_whole(stored: Schema) -> None:
    assert stored["anything"]["x-kubernetes-preserve-unknown-fields"] is True
    assert "additionalProperties" not in stored["anything"]


def test_a_stored_default_is_spelled_as_on_the_wire_and_told(stored: Schema) -> None:
    assert stored["rest"]["default"] == "1h30m"
    assert stored["rest"]["description"] == "Between two rides. Default: 1h30m."


def test_an_object_is_filled_in_when_all_of_it_may_be(stored: Schema) -> None:
    assert stored["frontWheel"]["default"] == {}


def test_an_object_with_a_required_field_is_never_filled_in(stored: Schema) -> None:
    assert "default" not in stored["engine"]


def test_an_empty_default_is_neither_stored_nor_told(stored: Schema) -> None:
    assert stored["labels"] == {
        "additionalProperties": {"type": "string"},
        "description": "Labels.",
        "type": "object",
    }


def test_a_told_default_stands_in_the_description_only() -> None:
    told = structural(Vehicle, Defaults.TOLD)["properties"]["rest"]

    assert "default" not in told
    assert told["description"] == "Between two rides. Default: 1h30m."


def test_an_omitted_default_is_nowhere() -> None:
    omitted = structural(Vehicle)["properties"]["rest"]

    assert "default" not in omitted
    assert omitted["description"] == "Between two rides."


def test_nothing_that_structural_schemas_forbid_is_left_in_any_part(stored: Schema) -> None:
    forbidden = {"$ref", "$defs", "title", "const", "allOf", "oneOf"}

    assert forbidden.isdisjoint(_keywords({"type": "object", "properties": stored}))


class Choice(BaseModel):
    either: int | str


class Pair(BaseModel):
    both: tuple[int, str]


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Choice, "Choice.either: a structural schema has no alternatives; use one type"),
        (Pair, "Pair.both: a structural schema has no prefixItems; use another type"),
    ],
    ids=["alternatives", "a list whose items differ"],
)
def test_a_type_that_cannot_be_expressed_is_refused_by_the_name_of_its_field(
    model: type[BaseModel], sentence: str
) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        structural(model)


def _keywords(schema: Schema) -> set[str]:
    found = set(schema)
    for member in schema.get("properties", {}).values():
        found |= _keywords(member)
    for key in ("items", "additionalProperties"):
        if key in schema:
            found |= _keywords(schema[key])
    return found
