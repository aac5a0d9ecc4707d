"""Cuts BTF down to a few structures, so that a recorded host need not hold all types of a kernel.

The result is BTF again. What pointers lead to is left out: they point to void.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import btf

_POINTER, _ARRAY, _INT, _FORWARD, _FLOAT = 2, 3, 1, 7, 16
_ENUMS = {6: 2, 19: 3}
"""BTF_KIND_ENUM and _ENUM64, with the words of each value."""


def excerpt(content: bytes, path: str, wanted: Mapping[str, Collection[str]]) -> bytes:
    """Return BTF with the structures that are *wanted*, and of these only the members named.

    Structures that the kernel does not have are left out. Raises ``UnreadableError``.
    """
    types = btf.types(content, path, wanted)
    copy = _Copy(types)
    for name, members in wanted.items():
        if name in types.named:
            copy.restrict(types.named[name], members)
    return copy.written()


class _Copy:
    """New numbers for the types that are needed, and a new table of names."""

    def __init__(self, types: btf.Types) -> None:
        self._types = types
        self._numbers: dict[int, int] = {0: 0}
        self._kept: dict[int, Collection[str]] = {}
        self._names = bytearray(b"\0")
        self._places = {"": 0}

    def restrict(self, number: int, members: Collection[str]) -> None:
        """Take a structure into the copy, with those members only."""
        self._kept[number] = members
        self._number(number)

    def written(self) -> bytes:
        """Return the copy; what types lead to is numbered on the way."""
        words, done = array("I"), 1
        while done < len(self._numbers):
            words.extend(self._copied(list(self._numbers)[done]))
            done += 1
        size, names = len(words) * words.itemsize, bytes(self._names)
        header = btf.HEADER.pack(btf.MAGIC, 1, 0, btf.HEADER.size, 0, size, size, len(names))
        return header + words.tobytes() + names

    def _number(self, number: int) -> int:
        return self._numbers.setdefault(number, len(self._numbers))

    def _name(self, at: int) -> int:
        name = self._types.name(at)
        if name not in self._places:
            self._places[name] = len(self._names)
            self._names += name.encode() + b"\0"
        return self._places[name]

    def _copied(self, number: int) -> list[int]:
        at, kind, info = self._types.entry(number)
        words, third = self._types.words, self._types.words[at + 2]
        start, count = [self._name(words[at]), info], info & 0xFFFF
        if kind in btf.STRUCTURES:
            return self._structure(number, start, third)
        if kind == _POINTER:
            return [*start, 0]
        if kind in btf.QUALIFIERS:
            return [*start, self._number(third)]
        if kind == _ARRAY:
            element, index, length = words[at + 3 : at + 6].tolist()
            return [*start, third, self._number(element), self._number(index), length]
        if kind in {_INT, _FORWARD, _FLOAT}:
            return [*start, third, *words[at + 3 : at + 3 + (kind == _INT)].tolist()]
        if kind in _ENUMS:
            each = _ENUMS[kind]
            values = words[at + 3 : at + 3 + each * count].tolist()
            values[::each] = [self._name(name) for name in values[::each]]
            return [*start, third, *values]
        raise errors.UnreadableError(self._types.path, f"type {number} is no type of a member")

    def _structure(self, number: int, start: list[int], size: int) -> list[int]:
        kept = self._kept.get(number)
        members = [
            [self._name(name), self._number(type_id), offset]
            for name, type_id, offset in self._types.triples(number)
            if kept is None or self._types.name(name) in kept
        ]
        name, info = start
        return [name, (info & ~0xFFFF) | len(members), size, *(w for m in members for w in m)]
