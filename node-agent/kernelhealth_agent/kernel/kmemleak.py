"""Memory that nothing points to any more: /sys/kernel/debug/kmemleak, mm/kmemleak.c.

Kernels for debugging only (CONFIG_DEBUG_KMEMLEAK). Reading tells what the last scan, one in ten
minutes, has found; it starts none.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from kernelhealth_agent import errors

_OBJECT = re.compile(r"unreferenced object (?:\(percpu\) )?0x[0-9a-f]+ \(size (\d{1,15})\):")
_COMM = re.compile(r'comm "(.{0,64})", pid (-?\d{1,10}), jiffies \d+(?: \(age (\d{1,12})\.\d+s\))?')
_FRAME = re.compile(
    r"(?:\[\S{1,24}\]\s+)?([A-Za-z_][\w.$]{0,120})\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[([\w-]+)\])?"
)
_ALLOCATORS = re.compile(
    r"kmemleak_|_*(k|v|kv)[mzc]*alloc|_*kmem_cache_|_*slab_|kmemdup|kstrn?dup|krealloc|pcpu_alloc"
    r"|create_cache$|_*get_free_page|_*alloc_pages"
)
_MOST_SITES = 64


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the kernel that allocated objects nothing points to.

    *function* asked for the memory, *module* is whose it is where it is no part of the kernel
    itself; *size* is all their bytes. *comm* and *pid* made the first of them; *age* is the seconds
    that the oldest is old, None where this kernel does not tell. *trace* are all functions.
    """

    function: str
    module: str | None
    objects: int
    size: int
    comm: str
    pid: int
    age: int | None
    trace: tuple[str, ...] = ()


@dataclass(slots=True)
class _Object:
    """One object while it is being read."""

    size: int
    comm: str = "?"
    pid: int = 0
    age: int | None = None
    frames: list[tuple[str, str | None]] | None = None

    @property
    def origin(self) -> tuple[str, str | None]:
        """The first function of the trace that is none of the allocator."""
        frames = self.frames or [("unknown", None)]
        return next((frame for frame in frames if not _ALLOCATORS.match(frame[0])), frames[0])


def sites(content: bytes, path: str) -> tuple[Site, ...]:
    """Return who allocated what is lost, most bytes first, 64 at the most.

    A file that was cut off within an object is understood. Raises ``UnreadableError`` where
    something stands before the first object.
    """
    text = content.decode(errors="replace")
    if text.strip() and not _OBJECT.match(text.lstrip()):
        raise errors.UnreadableError(path, "it does not begin with 'unreferenced object'", 1)
    by_origin: dict[tuple[str, str | None], list[_Object]] = defaultdict(list)
    for found in _objects(text):
        by_origin[found.origin].append(found)
    every = [_site(origin, objects) for origin, objects in by_origin.items()]
    return tuple(sorted(every, key=lambda site: -site.size)[:_MOST_SITES])


def _objects(text: str) -> Iterator[_Object]:
    current: _Object | None = None
    for raw in text.split("\n"):
        line = raw.strip()
        if match := _OBJECT.match(line):
            if current is not None:
                yield current
            current = _Object(int(match[1]))
        elif current is None:
            continue
        elif match := _COMM.match(line):
            current.comm, current.pid = match[1], int(match[2])
            current.age = None if match[3] is None else int(match[3])
        elif line.startswith("backtrace"):
            current.frames = []
        elif current.frames is not None and (match := _FRAME.match(line)):
            current.frames.append((match[1], match[2]))
    if current is not None:
        yield current


def _site(origin: tuple[str, str | None], objects: list[_Object]) -> Site:
    ages = [found.age for found in objects if found.age is not None]
    first = objects[0]
    return Site(
        function=origin[0],
        module=origin[1],
        objects=len(objects),
        size=sum(found.size for found in objects),
        comm=first.comm,
        pid=first.pid,
        age=max(ages, default=None),
        trace=tuple(frame for frame, _ in first.frames or ()),
    )
