"""The newest known value of each object of one kind, whatever order the news arrive in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

_GRAVES = 10_000


class Versioned(Protocol):
    """Anything with a name and the resourceVersion it was seen at."""

    @property
    def name(self) -> str:
        """The object's name."""

    @property
    def resource_version(self) -> str:
        """Grows with every write to the object; comparable as an integer within one kind."""


V = TypeVar("V", bound=Versioned)


def version(value: Versioned) -> int:
    """The resourceVersion as a number, 0 where the server gives none.

    Ordered integers are promised since Kubernetes 1.35 (KEP-5504) and were true before with etcd.
    """
    return int(value.resource_version) if value.resource_version.isdecimal() else 0


class Shelf(Generic[V]):
    """Values by name; a watch event older than the answer to a write never brings back the past.

    A bounded number of graves remembers at which version objects were deleted, so that a late
    answer does not bring a deleted object back.
    """

    def __init__(self) -> None:
        self._values: dict[str, V] = {}
        self._graves: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def get(self, name: str) -> V | None:
        """The newest value of that name."""
        return self._values.get(name)

    def values(self) -> Iterable[V]:
        """All values."""
        return self._values.values()

    def put(self, value: V) -> bool:
        """Keeps *value* if it is news; returns whether it was."""
        number, held = version(value), self._values.get(value.name)
        if held is not None and version(held) >= number > 0:
            return False
        if number and number <= self._graves.get(value.name, 0):
            return False
        self._values[value.name] = value
        return True

    def remove(self, value: V, *, reborn: bool = False) -> V | None:
        """Forgets the object that *value* was the last state of; returns what was held of it.

        *reborn* says that what is held is another object, created since under the same name.
        """
        held = self._values.get(value.name)
        self._bury(
            value.name,
            version(value) if held is None or reborn else max(version(held), version(value)),
        )
        return None if reborn else self._values.pop(value.name, None)

    def newest(self) -> int:
        """The highest resourceVersion that is held, 0 if nothing is."""
        return max(map(version, self._values.values()), default=0)

    def missing(self, listed: Iterable[str], at: int) -> list[V]:
        """What is held, was not listed, and is no younger than the list (resourceVersion *at*)."""
        names = set(listed)
        return [v for name, v in self._values.items() if name not in names and version(v) <= at]

    def _bury(self, name: str, number: int) -> None:
        self._graves.pop(name, None)
        self._graves[name] = number
        while len(self._graves) > _GRAVES:
            del self._graves[next(iter(self._graves))]
