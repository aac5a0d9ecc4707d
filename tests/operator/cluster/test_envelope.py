"""Pages and events straight from bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from kernelhealth_operator.cluster import errors
from kernelhealth_operator.cluster.envelope import Envelope, NarrowObject


class Thing(NarrowObject):
    """A kind with one required field."""

    class Spec(BaseModel):
        size: int

    spec: Spec


ENVELOPE = Envelope(Thing)


def thing(name: str, size: object = 1, **metadata: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": f"u-{name}", "resourceVersion": "7", **metadata},
        "spec": {"size": size, "unknown": "fields are not kept"},
    }


def page(*items: object, **metadata: str) -> bytes:
    return json.dumps({"metadata": {"resourceVersion": "9", **metadata}, "items": items}).encode()


def event(kind: str, item: Mapping[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode()


def test_a_page_gives_its_objects_and_where_to_go_on() -> None:
    read = ENVELOPE.page("LIST /things", page(thing("a"), **{"continue": "more"}))

    assert [one.metadata.name for one in read.objects] == ["a"]
    assert (read.resource_version, read.continue_token, read.unreadable) == ("9", "more", {})


def test_an_object_that_does_not_fit_costs_its_own_place_only() -> None:
    body = page(thing("a"), thing("b", size="big", namespace="ns"), "nonsense", thing("c"))

    read = ENVELOPE.page("LIST /things", body)

    assert [one.metadata.name for one in read.objects] == ["a", "c"]
    assert set(read.unreadable) == {"ns/b", "?"}
    assert read.unreadable["ns/b"].startswith("spec.size: ")


def test_null_instead_of_items_is_an_empty_page() -> None:
    body = b'{"metadata":{"resourceVersion":"9"},"items":null}'

    assert ENVELOPE.page("LIST /things", body).objects == ()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"items":[]}', b"<html>"])
def test_what_is_no_list_is_said_so_with_its_beginning(body: bytes) -> None:
    with pytest.raises(errors.StreamBroken, match="LIST /things gave no list"):
        ENVELOPE.page("LIST /things", body)


def test_an_event_gives_its_object() -> None:
    read = ENVELOPE.event("/things", event("MODIFIED", thing("a", 5, namespace="ns")))

    assert (read.type, read.key, read.resource_version) == ("MODIFIED", "ns/a", "7")
    assert read.object is not None
    assert read.object.spec.size == 5


def test_a_bookmark_needs_no_object() -> None:
    read = ENVELOPE.event("/things", event("BOOKMARK", {"metadata": {"resourceVersion": "12"}}))

    assert (read.type, read.object, read.resource_version) == ("BOOKMARK", None, "12")


@pytest.mark.parametrize(
    ("code", "kind"), [(410, errors.Gone), (500, errors.ServerFailed), (403, errors.Forbidden)]
)
def test_an_error_event_is_the_error_that_it_names(code: int, kind: type[errors.ApiError]) -> None:
    said = {"kind": "Status", "metadata": {}, "code": code, "message": "too old"}

    with pytest.raises(kind, match="too old"):
        ENVELOPE.event("/things", event("ERROR", said))


def test_an_event_whose_object_does_not_fit_still_moves_the_watch_on() -> None:
    read = ENVELOPE.event("/things", event("ADDED", thing("a", size=None)))

    assert (read.object, read.key, read.resource_version) == (None, "a", "7")
    assert "spec.size" in read.unreadable


@given(st.binary(max_size=200))
def test_any_bytes_give_a_page_and_an_event_or_the_stream_is_called_broken(body: bytes) -> None:
    for read in (ENVELOPE.page, ENVELOPE.event):
        try:
            read("/things", body)
        except errors.StreamBroken as error:
            assert "/things" in str(error)  # noqa: PT017 - one of two outcomes


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["metadata", "items", "type", "object", "name", "code", "spec"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_gives_a_page_and_an_event_or_a_known_error(value: object) -> None:
    for read in (ENVELOPE.page, ENVELOPE.event):
        try:
            read("/things", json.dumps(value).encode())
        except (errors.StreamBroken, errors.ApiError) as error:
            assert "/things" in str(error)  # noqa: PT017 - one of two outcomes
