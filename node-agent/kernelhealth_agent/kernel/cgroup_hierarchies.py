"""Control groups that were removed and still exist: Documentation/admin-guide/cgroup-v2.rst.

A removed group stays in the kernel, *dying*, until the last thing charged to it is gone: pages of
files that others use, of tmpfs above all, kernel objects, sockets. With cgroup v2 ``cgroup.stat``
counts them (``nr_dying_descendants``, since Linux 4.14; per controller ``nr_dying_subsys_memory``,
since 6.12). With v1 nothing does; but ``num_cgroups`` of /proc/cgroups counts a group until it is
freed (kernel/cgroup/cgroup.c: css_free_rwork_fn), so that it exceeds the directories by the dying.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from kernelhealth_agent import errors
from kernelhealth_agent.kernel.growth_forecast import Growth
from kernelhealth_agent.kernel.history import History

_STAT = re.compile(rb"^(nr_\w{1,60}) (\d{1,18})$", re.MULTILINE)
_CONTROLLER = "nr_dying_subsys_"
UNIFIED = "cgroup2"


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a hierarchy is mounted: *controllers* are those of v1, nothing for v2."""

    point: str
    controllers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Census:
    """The groups of one hierarchy or subtree; *controller* is the one with most dying, if told."""

    living: int
    dying: int
    controller: str | None = None


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The groups of one hierarchy; *name* is ``cgroup2``, or the controllers of v1.

    *where* is the smallest subtree that has most of the dying groups, where the kernel tells.
    *growth* is that of the dying ones.
    """

    name: str
    census: Census
    where: str | None
    growth: Growth | None


@dataclass(frozen=True, slots=True)
class Sample:
    """The hierarchies whose groups could be counted at the time *taken*.

    *history* is of the dying groups, by hierarchy.
    """

    hierarchies: tuple[Hierarchy, ...]
    history: History
    taken: datetime
    blind: tuple[str, ...] = ()


def mounts(mountinfo: bytes) -> list[Mount]:
    """Return where hierarchies are mounted whole, from a mount table."""
    found = []
    for line in mountinfo.decode(errors="replace").splitlines():
        before, dash, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if not dash or len(fields) < 6 or len(kind) < 3 or fields[3] != "/":
            continue
        if kind[0] == "cgroup2":
            found.append(Mount(fields[4], frozenset()))
        elif kind[0] == "cgroup":
            found.append(Mount(fields[4], frozenset(kind[2].split(","))))
    return found


def census(stat: bytes, path: str) -> Census:
    """Decode cgroup.stat; ``AbsentError`` for a kernel that does not count the dying."""
    values = {name.decode(): int(value) for name, value in _STAT.findall(stat)}
    if not values:
        raise errors.UnreadableError(path, "it has no line nr_descendants")
    if "nr_dying_descendants" not in values:
        raise errors.AbsentError(f"{path}: nr_dying_descendants")
    by_controller = {
        name.removeprefix(_CONTROLLER): value
        for name, value in values.items()
        if name.startswith(_CONTROLLER) and value
    }
    most = max(by_controller, key=lambda name: by_controller[name], default=None)
    return Census(values.get("nr_descendants", 0), values["nr_dying_descendants"], most)


def numbers(table: bytes, path: str) -> dict[frozenset[str], int]:
    """Decode /proc/cgroups: how many groups each hierarchy of v1 has, by its controllers.

    Raises ``UnreadableError`` for a line that is not name, hierarchy, number and a switch.
    """
    names: dict[int, set[str]] = {}
    counts: dict[int, int] = {}
    for number, line in enumerate(table.decode(errors="replace").splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        fields = line.split()
        if len(fields) != 4 or not all(re.fullmatch(r"[0-9]{1,18}", f) for f in fields[1:]):
            raise errors.UnreadableError(path, "it is not a name and three numbers", number)
        hierarchy = int(fields[1])
        if hierarchy:  # 0 is the hierarchy of v2, or none.
            names.setdefault(hierarchy, set()).add(fields[0])
            counts[hierarchy] = int(fields[2])
    return {frozenset(names[hierarchy]): count for hierarchy, count in counts.items()}


def directories(answer: bytes, path: str) -> int:
    """Decode how many directories there were counted; ``UnreadableError`` for no number."""
    if not re.fullmatch(rb"[0-9]{1,18}\n?", answer):
        raise errors.UnreadableError(path, "it is no number")
    return int(answer)
