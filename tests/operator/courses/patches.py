"""How a change is merged into an object, and who has the fields of a Node afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Body = dict[str, Any]


def merged(body: Mapping[str, Any], change: Mapping[str, Any]) -> Body:
    """JSON merge patch, RFC 7386."""
    result = dict(body)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            old = result.get(key)
            result[key] = merged(old if isinstance(old, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def bare(body: Body) -> Body:
    """A change without its preconditions."""
    metadata = body.get("metadata", {})
    kept = {k: v for k, v in metadata.items() if k not in {"resourceVersion", "uid"}}
    return {**body, "metadata": kept}


def same(before: Body, after: Body) -> bool:
    """Whether both are the same but for their versions."""
    return bare(before) == bare(after)


def unschedulable(node: Body) -> bool:
    """Whether a Node takes no new pods."""
    return bool(node.get("spec", {}).get("unschedulable"))


def managed(node: Body, manager: str | None) -> Body:
    """The Node with *manager* as whoever made it unschedulable; None: it is not."""
    entry: Body = {"manager": manager, "fieldsV1": {"f:spec": {"f:unschedulable": {}}}}
    fields = [] if manager is None else [entry]
    return {**node, "metadata": {**node["metadata"], "managedFields": fields}}


def applied(body: Body, change: Body, part: str, name: str) -> Body:
    """The object after an apply of *change* by whoever has ``part.name`` alone.

    What an apply leaves out, it gives up.
    """
    emptied = merged(body, {part: {name: None}})
    return merged(emptied, change)
