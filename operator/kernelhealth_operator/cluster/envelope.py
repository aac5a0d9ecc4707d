"""What surrounds objects on the wire: list pages and watch events, parsed straight from bytes.

Sources: Kubernetes API concepts, "Efficient detection of changes" and "Retrieving large results
sets in chunks"; staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/{types,watch}.go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, create_model

from kernelhealth_operator.cluster.errors import StreamBroken, from_status


class NarrowMetadata(BaseModel):
    """The part of ObjectMeta that every narrow model has."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = Field("", alias="resourceVersion")


class NarrowObject(BaseModel):
    """A model of a kind with only the fields that matter; whatever else is sent is not kept."""

    metadata: NarrowMetadata


M = TypeVar("M", bound=NarrowObject)


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    """One chunk of a list; *unreadable* says, by key, why an object does not fit the model."""

    objects: tuple[M, ...]
    unreadable: dict[str, str]
    resource_version: str
    continue_token: str


@dataclass(frozen=True, slots=True)
class Event(Generic[M]):
    """One watch event. *object* is None for a bookmark and for an object that does not fit."""

    type: str
    object: M | None
    key: str
    resource_version: str
    unreadable: str = ""


def key_of(metadata: NarrowMetadata) -> str:
    """``name``, or ``namespace/name``: what is unique within a kind."""
    return f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name


class _ListMetadata(BaseModel):
    resource_version: str = Field("", alias="resourceVersion")
    continue_token: str = Field("", alias="continue")


class _BareMetadata(BaseModel):
    name: str = ""
    namespace: str = ""
    resource_version: str = Field("", alias="resourceVersion")


class _BareObject(BaseModel):
    """What bookmarks, errors and objects that do not fit have in common."""

    metadata: _BareMetadata = _BareMetadata()
    code: int = 500
    reason: str = ""
    message: str = ""


class _BareEvent(BaseModel):
    type: str
    object: _BareObject


class Envelope(Generic[M]):
    """Parses the pages and events of one kind; built once, since building is slow."""

    def __init__(self, model: type[M]) -> None:
        self._model = TypeAdapter(model)
        name = model.__name__
        items: Any = list[model] | None  # type: ignore[valid-type]
        self._page = create_model(f"{name}Page", metadata=(_ListMetadata, ...), items=(items, ...))
        self._event = create_model(f"{name}Event", type=(str, ...), object=(model, ...))

    def page(self, call: str, body: bytes) -> Page[M]:
        """One chunk of a list; raises StreamBroken when it is none.

        An object that does not fit the model costs its own place only.
        """
        try:
            page: Any = self._page.model_validate_json(body)
        except ValidationError:
            return self._page_by_object(call, body)
        return Page(
            tuple(page.items or ()),
            {},
            page.metadata.resource_version,
            page.metadata.continue_token,
        )

    def _page_by_object(self, call: str, body: bytes) -> Page[M]:
        try:
            raw = json.loads(body)
            metadata = _ListMetadata.model_validate(raw["metadata"])
            items = list(raw["items"] or ())
        except (ValueError, TypeError, KeyError) as error:
            raise StreamBroken(f"{call} gave no list but {body[:80]!r}.") from error
        objects, unreadable = [], {}
        for item in items:
            try:
                objects.append(self._model.validate_python(item))
            except ValidationError as error:
                unreadable[_bare_key(item)] = _first(error)
        return Page(tuple(objects), unreadable, metadata.resource_version, metadata.continue_token)

    def event(self, call: str, line: bytes) -> Event[M]:
        """One line of a watch; raises StreamBroken, or ApiError for an ERROR event."""
        try:
            event: Any = self._event.model_validate_json(line)
        except ValidationError as error:
            return self._event_without_object(call, line, error)
        if event.type in {"ERROR", "BOOKMARK"}:
            return self._event_without_object(call, line, None)
        metadata = event.object.metadata
        return Event(event.type, event.object, key_of(metadata), metadata.resource_version)

    def _event_without_object(
        self, call: str, line: bytes, misfit: ValidationError | None
    ) -> Event[M]:
        try:
            bare = _BareEvent.model_validate_json(line)
        except ValidationError as error:
            raise StreamBroken(f"WATCH {call} sent no event but {line[:80]!r}.") from error
        said, metadata = bare.object, bare.object.metadata
        if bare.type == "ERROR":
            raise from_status(f"WATCH {call}", said.code, said.message or "no reason", said.reason)
        if bare.type == "BOOKMARK" or misfit is None:
            return Event(bare.type, None, "", metadata.resource_version)
        key = f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name
        return Event(bare.type, None, key, metadata.resource_version, _first(misfit))


def _bare_key(item: object) -> str:
    try:
        metadata = _BareObject.model_validate(item).metadata
    except ValidationError:
        return "?"
    return f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name


def _first(error: ValidationError) -> str:
    """The first thing wrong, with its field: ``object.spec.unschedulable: should be a boolean``."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
