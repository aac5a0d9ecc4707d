"""Where the members of the kernel's structures are: BTF, /sys/kernel/btf/vmlinux.

Documentation/bpf/btf.rst and include/uapi/linux/btf.h describe the format: a header, the types one
after the other, numbered from 1, and their names. Only what leads to the offset of a member is
understood here; the rest is stepped over, in one pass.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from kernelhealth_agent import errors

HEADER = struct.Struct("=HBBIIIII")
MAGIC = 0xEB9F
STRUCTURES = {4, 5}
"""BTF_KIND_STRUCT and _UNION."""
QUALIFIERS = {8, 9, 10, 11, 18}
"""BTF_KIND_TYPEDEF, _VOLATILE, _CONST, _RESTRICT and _TYPE_TAG: the type is behind them."""
_FIXED = (0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0)
_EACH = (0, 0, 0, 0, 3, 3, 2, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 3)
"""Words that follow the first three, by kind: in all, and for each of the type's parts."""
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a structure: *offset* counts bytes, *type_id* is 0 for void."""

    name: str
    type_id: int
    offset: int


@dataclass(frozen=True, slots=True)
class Types:
    """The types of a kernel.

    *words* are all types in words of 32 bits, *starts* where each begins, by its number; *named*
    are the numbers of the structures that were asked for.
    """

    path: str
    words: memoryview[int]
    starts: array[int]
    names: bytes
    named: Mapping[str, int]

    def offset(self, structure: str, path: str) -> int | None:
        """Return where a member is, in bytes from the start of its structure.

        *path* leads through structures inside it, ``ns.inum`` say. None where the kernel has no
        such structure or member. Raises ``UnreadableError``.
        """
        number, total = self.named.get(structure), 0
        for name in path.split("."):
            found = None if number is None else self._find(number, name)
            if found is None:
                return None
            number, total = found.type_id, total + found.offset
        return total

    def members(self, number: int) -> list[Member]:
        """Return the members of a structure or union; none where the number is of something else.

        A field of bits has the byte that it begins in.
        """
        # With the kind flag the highest byte of an offset is the size of a field of bits.
        mask = 0xFFFFFF if self.entry(number)[2] >> 31 else 0xFFFFFFFF
        return [
            Member(self.name(name), type_id, (offset & mask) // 8)
            for name, type_id, offset in self.triples(number)
        ]

    def triples(self, number: int) -> Iterator[tuple[int, int, int]]:
        """Return the members of a structure or union as they are: name, type and offset."""
        at, kind, info = self.entry(number)
        end = at + 3 + 3 * (info & 0xFFFF if kind in STRUCTURES else 0)
        words = self.words[at + 3 : end].tolist()
        return zip(words[::3], words[1::3], words[2::3], strict=True)

    def _find(self, number: int, name: str) -> Member | None:
        """Return a member, also of the structures without a name that are inside."""
        left, seen = [(number, 0)], set()
        while left:
            inside, base = left.pop()
            inside = self._bare(inside)
            if inside in seen:  # Garbage may be inside itself.
                continue
            seen.add(inside)
            for member in self.members(inside):
                if member.name == name:
                    return Member(name, member.type_id, base + member.offset)
                if not member.name:
                    left.append((member.type_id, base + member.offset))
        return None

    def _bare(self, number: int) -> int:
        """Return the type behind typedefs and qualifiers."""
        for _ in range(_DEEPEST):
            at, kind, _ = self.entry(number)
            if kind not in QUALIFIERS:
                return number
            number = self.words[at + 2]
        raise errors.UnreadableError(self.path, f"type {number} is behind {_DEEPEST} others")

    def entry(self, number: int) -> tuple[int, int, int]:
        """Return where a type begins, its kind and its info; void (0) has kind 0."""
        if number == 0:
            return 0, 0, 0
        if number >= len(self.starts):
            raise errors.UnreadableError(self.path, f"it has no type {number}")
        at = self.starts[number]
        info = self.words[at + 1]
        return at, info >> 24 & 0x1F, info

    def name(self, at: int) -> str:
        """Return the name at a place of the table of names."""
        end = self.names.find(b"\0", at)
        if end < 0:
            raise errors.UnreadableError(self.path, f"there is no name at {at}")
        return self.names[at:end].decode(errors="replace")


def types(content: bytes, path: str, structures: Collection[str]) -> Types:
    """Decode BTF in the machine's byte order; ``UnreadableError`` where it is torn or no BTF.

    *structures* are the names to be asked for. Half a million words, those of a distribution's
    kernel, take about 40 ms.
    """
    if len(content) < HEADER.size:
        raise errors.UnreadableError(path, f"it has {len(content)} bytes, less than a header")
    header = HEADER.unpack_from(content)
    magic, length = header[0], header[3]
    if magic != MAGIC:
        raise errors.UnreadableError(path, f"it begins with {magic:#x} and is no BTF")
    at, size, names_at, names_size = header[4:]
    data = content[length + at : length + at + size]
    names = content[length + names_at : length + names_at + names_size]
    if len(data) != size or size % 4 or len(names) != names_size:
        raise errors.UnreadableError(path, f"it ends after {len(content)} bytes, too early")
    words = memoryview(data).cast("I")
    starts = _starts(words, path)
    return Types(path, words, starts, names, _named(words, starts, names, structures))


def _starts(words: memoryview[int], path: str) -> array[int]:
    """Return where each type begins; the first is void, which is not there."""
    starts, at, end = array("I", [0]), 0, len(words)
    fixed, each, note = _FIXED, _EACH, starts.append
    try:
        while at < end:
            note(at)
            info = words[at + 1]
            kind = info >> 24 & 0x1F
            at += 3 + fixed[kind] + each[kind] * (info & 0xFFFF)
    except IndexError as error:
        what = f"type {len(starts) - 1} is torn or of a kind that is not known"
        raise errors.UnreadableError(path, what) from error
    if at != end:
        raise errors.UnreadableError(path, f"type {len(starts) - 1} is torn")
    return starts


def _named(
    words: memoryview[int], starts: array[int], names: bytes, structures: Collection[str]
) -> dict[str, int]:
    """Return the numbers of structures by name; the first of that name that has members."""
    places = {name: names.find(f"\0{name}\0".encode()) + 1 for name in structures}
    wanted = {at: name for name, at in places.items() if at}
    found: dict[str, int] = {}
    for number, at in enumerate(starts):
        if number and words[at] in wanted:
            info = words[at + 1]
            if info >> 24 & 0x1F == 4 and info & 0xFFFF:
                found.setdefault(wanted[words[at]], number)
    return found
