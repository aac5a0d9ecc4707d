"""How a rule of the Common Expression Language is put on a field of a schema.

A message names what is wrong and what to write instead; the API server puts the field in front.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_api.schema import Schema

_RULES = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Validation:
    """One rule, in CEL with the field's value as ``self``, and what is said when it is broken.

    *field* is the path below the value that the error names, such as ``.values``.
    """

    rule: str
    message: str
    field: str | None = None

    def written(self) -> dict[str, str]:
        """Return the rule in the form of ``x-kubernetes-validations``."""
        entry = {"rule": self.rule, "message": self.message}
        return entry if self.field is None else entry | {"fieldPath": self.field}


def at(schema: Schema, path: str) -> Schema:
    """Return the part of *schema* at *path*, such as ``rules[].for`` or ``labels[*]``.

    Raises ``KeyError`` with the first step that is not there.
    """
    for step in path.replace("[]", ".[]").replace("[*]", ".[*]").split("."):
        match step:
            case "":
                continue
            case "[]":
                schema = schema["items"]
            case "[*]":
                schema = schema["additionalProperties"]
            case _:
                schema = schema["properties"][step]
    return schema


def require(schema: Schema, path: str, *validations: Validation) -> None:
    """Add *validations* to what is demanded of the field at *path*."""
    at(schema, path).setdefault(_RULES, []).extend(each.written() for each in validations)


def instead_of(schema: Schema, path: str, *keywords: str) -> Schema:
    """Drop *keywords* of the field at *path*, for which a validation says the same in words."""
    field = at(schema, path)
    for keyword in keywords:
        field.pop(keyword, None)
    return field


def limit_strings(schema: Schema, longest: int) -> None:
    """Bound every string that has no bound, so that the cost of the rules can be estimated."""
    if schema.get("type") == "string" and not {"maxLength", "enum", "format"} & set(schema):
        schema["maxLength"] = longest
    for member in schema.get("properties", {}).values():
        limit_strings(member, longest)
    for key in ("items", "additionalProperties"):
        if key in schema:
            limit_strings(schema[key], longest)


def keep_unknown(schema: Schema) -> None:
    """Keep fields that *schema* does not know, in all its objects.

    Server-side apply refuses a whole object for a single undeclared field, so without this an agent
    that is newer than the definitions could not report at all.
    """
    if "properties" in schema:
        schema["x-kubernetes-preserve-unknown-fields"] = True
    for member in schema.get("properties", {}).values():
        keep_unknown(member)
    if "items" in schema:
        keep_unknown(schema["items"])
