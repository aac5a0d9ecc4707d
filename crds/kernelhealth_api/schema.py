"""Turns a pydantic model into a schema that the API server takes for a custom resource.

Custom resources know *structural* schemas only (the chapter "Specifying a structural schema" of the
Kubernetes documentation on CustomResourceDefinitions): no references, no alternatives but
int-or-string, no titles, bounds as in draft 4 of JSON Schema, and everything that is not
specified is dropped on writing.
"""

from __future__ import annotations

import enum
import json
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from kernelhealth_api import duration

Schema = dict[str, Any]

_INT_OR_STRING = "x-kubernetes-int-or-string"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_NULL = {"type": "null"}
_UNSTRUCTURAL = ("allOf", "oneOf", "prefixItems", "patternProperties", "discriminator")


class Defaults(enum.Enum):
    """What becomes of the defaults of a model.

    STORED ones are told in the description and filled in by the API server; TOLD ones are only
    described, so that an object holds nothing but what differs; OMITTED ones are not there at all.
    """

    STORED = "stored"
    TOLD = "told"
    OMITTED = "omitted"


class _Generator(GenerateJsonSchema):
    """Writes defaults as they stand on the wire: a duration is ``5m`` and not ``PT5M``."""

    def encode_default(self, dft: Any) -> Any:
        return duration.text(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def structural(model: type[BaseModel], defaults: Defaults = Defaults.OMITTED) -> Schema:
    """Return the structural schema of *model*, with the field names of the wire.

    Raises ``ValueError``, naming the field, for a type that no structural schema can express.
    """
    raw = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    definitions = raw.pop("$defs", {})
    return _Rewriter(definitions, defaults).rewrite(raw, model.__name__)


class _Rewriter:
    """One walk over a JSON schema; *where* is the field that error messages name."""

    def __init__(self, definitions: Schema, defaults: Defaults) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def rewrite(self, node: Schema, where: str) -> Schema:
        node = self._one_type(node, where)
        for keyword in _UNSTRUCTURAL:
            if keyword in node:
                raise ValueError(f"{where}: a structural schema has no {keyword}; use another type")
        node = _bounds(_constant(node))
        node.pop("title", None)
        self._members(node, where)
        self._default(node)
        return node

    def _one_type(self, node: Schema, where: str) -> Schema:
        """Return *node* without reference and without alternatives."""
        if "$ref" in node:
            target = self._definitions[node["$ref"].removeprefix("#/$defs/")]
            siblings = {key: value for key, value in node.items() if key != "$ref"}
            return self._one_type({**target, **siblings}, where)
        if "anyOf" not in node:
            return dict(node)
        choices = [choice for choice in node["anyOf"] if choice != _NULL]
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        if rest.get(_INT_OR_STRING):
            return rest | {"anyOf": [{"type": "integer"}, {"type": "string"}]}
        if len(choices) != 1:
            raise ValueError(f"{where}: a structural schema has no alternatives; use one type")
        return self._one_type({**choices[0], **rest}, where)

    def _members(self, node: Schema, where: str) -> None:
        required = node.get("required", ())
        for name, member in node.get("properties", {}).items():
            written = self.rewrite(member, f"{where}.{name}")
            if name not in required and _fills_itself(written):
                written["default"] = {}
            node["properties"] = node["properties"] | {name: written}
        if "items" in node:
            node["items"] = self.rewrite(node["items"], f"{where}[]")
        values = node.pop("additionalProperties", None)
        if isinstance(values, dict):
            node["additionalProperties"] = self.rewrite(values, f"{where}[*]")
        elif values or not {"type", "anyOf"} & set(node):
            node[_PRESERVE] = True  # Anything at all: the one case in which nothing is pruned.

    def _default(self, node: Schema) -> None:
        value = node.pop("default", None)
        told = self._defaults is not Defaults.OMITTED and value not in (None, [], {}, "")
        if told:
            spelled = value if isinstance(value, str) else json.dumps(value)
            node["description"] = f"{node.get('description', '')} Default: {spelled}.".lstrip()
        if told and self._defaults is Defaults.STORED:
            node["default"] = value


def _fills_itself(node: Schema) -> bool:
    """Whether *node* is an object all of whose fields may be absent and some have a default.

    Defaults inside an object are only filled in where the object itself is there.
    """
    members = node.get("properties", {}).values()
    return not node.get("required") and any("default" in member for member in members)


def _constant(node: Schema) -> Schema:
    if "const" not in node:
        return node
    value = node.pop("const")
    return {"type": _type_of(value)} | node | {"enum": [value]}


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "string"


def _bounds(node: Schema) -> Schema:
    """Return *node* with exclusive bounds as draft 4 has them: a bound, and a boolean beside it."""
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if exclusive in node:
            node = node | {bound: node[exclusive], exclusive: True}
    return node
