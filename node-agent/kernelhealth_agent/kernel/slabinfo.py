"""Slab caches of the kernel: /proc/slabinfo, mm/slab_common.c (``slab_show``).

Counts lie a little: what lies in a slab that belongs to a processor counts as in use, free or not.
Allocations above two pages are in no cache at all, though in ``SUnreclaim``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kernelhealth_agent import errors

_HEADER = re.compile(rb"slabinfo - version: 2\.\d")
_ROW = re.compile(
    r"(\S(?:.*\S)?)\s+(\d{1,18})\s+\d{1,18}\s+(\d{1,9})\s+(\d{1,9})\s+(\d{1,9})"
    r"\s*: tunables\s.*: slabdata\s+\d{1,18}\s+(\d{1,18})\s"
)
_PAGES = tuple(4096 << shift for shift in range(5))


@dataclass(frozen=True, slots=True)
class Row:
    """One line: objects in use, the size of one in bytes, and the slabs they lie in.

    A slab is *pages* pages and has room for *per_slab* objects. The *name* is the first under
    which a cache of this kind was made; others may share it.
    """

    name: str
    objects: int
    object_size: int
    per_slab: int
    pages: int
    slabs: int

    @property
    def all_pages(self) -> int:
        """The pages of all slabs."""
        return self.slabs * self.pages


def rows(content: bytes, path: str) -> tuple[Row, ...]:
    """Decode the file; ``UnreadableError`` for another version, or a line of another form."""
    if not _HEADER.match(content):
        raise errors.UnreadableError(path, "it does not begin with 'slabinfo - version: 2.'", 1)
    found = []
    for number, line in enumerate(content.decode(errors="replace").split("\n")[1:], 2):
        if not line.strip() or line.startswith("#"):
            continue
        match = _ROW.match(f"{line} ")
        if match is None:
            raise errors.UnreadableError(path, "a line is none of a cache", number)
        numbers = [int(field) for field in match.groups()[1:]]
        if not numbers[2] or not numbers[3]:
            raise errors.UnreadableError(path, "a slab has no objects or no pages", number)
        found.append(Row(match[1], *numbers))
    return tuple(found)


def page_size(every: Iterable[Row]) -> int:
    """Return the bytes of a page: the smallest size into which the slabs of all caches fit.

    No text file tells it. Slabs of one page are nearly full, so that the next size is too large.
    """
    need = max((row.per_slab * row.object_size / row.pages for row in every), default=0.0)
    return next((size for size in _PAGES if size >= need), _PAGES[-1])
