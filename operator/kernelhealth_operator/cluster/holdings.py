"""The narrow values that a watch holds, and what changes when lists and events come in."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from kernelhealth_operator.cluster.envelope import Event, M, Page, key_of

V = TypeVar("V")


class ChangeKind(enum.Enum):
    """What happened to an object."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Change(Generic[V]):
    """One change of one object.

    *object* is its newest value (for DELETED the last one known), *previous* what was held before:
    None for ADDED. An object deleted and created anew under its name gives DELETED, then ADDED.
    """

    kind: ChangeKind
    key: str
    object: V
    previous: V | None


@dataclass(frozen=True, slots=True)
class _Held(Generic[V]):
    uid: str
    resource_version: str
    value: V


class Holdings(Generic[M, V]):
    """The values of one kind by key; every operation costs what it is given, never the whole.

    *unreadable* says, by key, what is wrong with objects that do not fit the model. Their last
    good value stays, and who decides by it must know that it is old.
    """

    def __init__(self, keep: Callable[[M], V]) -> None:
        self._keep = keep
        self._held: dict[str, _Held[V]] = {}
        self._unlisted: set[str] | None = None
        self.unreadable: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def get(self, key: str) -> V | None:
        """The value held for *key*."""
        held = self._held.get(key)
        return None if held is None else held.value

    def values(self) -> Iterator[V]:
        """All values held."""
        return (held.value for held in self._held.values())

    def begin_list(self) -> None:
        """A list begins: what none of its pages names is gone at its end."""
        self._unlisted = set(self._held)
        self.unreadable.clear()

    def page(self, page: Page[M]) -> list[Change[V]]:
        """What a page of the list changes; objects whose version did not move change nothing."""
        unlisted = self._unlisted if self._unlisted is not None else set()
        unlisted.difference_update(page.unreadable)
        self.unreadable.update(page.unreadable)
        changes: list[Change[V]] = []
        for item in page.objects:
            unlisted.discard(key_of(item.metadata))
            changes += self._put(item)
        return changes

    def end_list(self) -> list[Change[V]]:
        """The deletions that nobody heard of."""
        gone, self._unlisted = self._unlisted or set(), None
        return [change for key in sorted(gone) for change in self._remove(key)]

    def event(self, event: Event[M]) -> list[Change[V]]:
        """What a watch event changes: nothing, one change, or two for an object made anew."""
        if event.object is None:
            if event.type == "DELETED":
                return self._remove(event.key)
            if event.unreadable:
                self.unreadable[event.key] = event.unreadable
            return []
        if event.type == "DELETED":
            return self._remove(event.key, self._keep(event.object))
        return self._put(event.object)

    def _put(self, item: M) -> list[Change[V]]:
        metadata = item.metadata
        key = key_of(metadata)
        before = self._held.get(key)
        self.unreadable.pop(key, None)
        if before is not None and before.uid == metadata.uid:
            if before.resource_version == metadata.resource_version:
                return []
            value = self._hold(key, item)
            return [Change(ChangeKind.MODIFIED, key, value, before.value)]
        gone = self._remove(key)
        return [*gone, Change(ChangeKind.ADDED, key, self._hold(key, item), None)]

    def _hold(self, key: str, item: M) -> V:
        value = self._keep(item)
        self._held[key] = _Held(item.metadata.uid, item.metadata.resource_version, value)
        return value

    def _remove(self, key: str, last: V | None = None) -> list[Change[V]]:
        self.unreadable.pop(key, None)
        held = self._held.pop(key, None)
        if held is None:
            return []
        value = held.value if last is None else last
        return [Change(ChangeKind.DELETED, key, value, held.value)]
