"""Tables of fields, drawn from the schemas that are in force."""

from __future__ import annotations

from collections.abc import Iterator

from kernelhealth_api.schema import Schema
from kernelhealth_build import paper


def fields(schema: Schema) -> str:
    """Return the table of every field at and below *schema*: path, type and meaning."""
    rows = ((f"`{path}`", kind, text) for path, kind, text in _walk(schema, ""))
    return paper.table(("field", "type", "meaning"), rows)


def _walk(schema: Schema, path: str) -> Iterator[tuple[str, str, str]]:
    for name, member in schema.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        yield below, _kind(member), member["description"]
        inner = member.get("items", member)
        yield from _walk(inner, f"{below}[]" if "items" in member else below)


def _kind(schema: Schema) -> str:
    if "enum" in schema:
        return " or ".join(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    if "additionalProperties" in schema:
        return f"map to {_kind(schema['additionalProperties'])}"
    if schema.get("format") == "date-time":
        return "time"
    return str(schema.get("type", "anything"))


def demands(schema: Schema) -> tuple[str, ...]:
    """Return what is said when a validation at or below *schema* is broken, each once."""
    return tuple(dict.fromkeys(_messages(schema)))


def _messages(schema: Schema) -> Iterator[str]:
    for validation in schema.get("x-kubernetes-validations", ()):
        yield validation["message"]
    for member in schema.get("properties", {}).values():
        yield from _messages(member)
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from _messages(schema[key])
