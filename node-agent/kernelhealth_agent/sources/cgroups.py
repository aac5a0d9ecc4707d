"""Counts control groups that were removed and still exist."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.cgroup_directories import CgroupDirectories
from kernelhealth_agent.kernel import cgroup_hierarchies, growth_forecast, history
from kernelhealth_agent.kernel.cgroup_hierarchies import (
    UNIFIED,
    Census,
    Hierarchy,
    Mount,
    Sample,
)
from kernelhealth_agent.kernel.history import History
from kernelhealth_agent.source import Occasion, Source

_MOUNTS, _TABLE, _STAT = "proc/1/mountinfo", "proc/cgroups", "cgroup.stat"
_LONGEST = 16 << 20
_MANY = 200
"""Dying groups from which on it is worth a walk to see whose they are."""
_DEPTH, _BROADEST = 6, 1024


def collect(host: Host, occasion: Occasion[History]) -> Sample:
    """Count the groups of each hierarchy that is mounted whole.

    Raises ``AbsentError`` where no hierarchy says how many of its groups are dying.
    """
    mounts = cgroup_hierarchies.mounts(host.read(_MOUNTS, _LONGEST))
    blind: list[str] = []
    counted = (*_unified(host, mounts), *_divided(host, mounts, blind))
    if not counted and not blind:
        raise errors.AbsentError(f"{_STAT}: nr_dying_descendants")
    readings = {name: census.dying for name, census, _ in counted}
    past = history.appended(occasion.memory or History(), readings, occasion.moment)
    return Sample(
        hierarchies=tuple(
            Hierarchy(name, census, where, growth_forecast.growth(past, name))
            for name, census, where in counted
        ),
        history=past,
        taken=occasion.moment.wall,
        blind=tuple(blind),
    )


_Counted = tuple[str, Census, str | None]


def _unified(host: Host, mounts: list[Mount]) -> Iterator[_Counted]:
    """Yield the hierarchy of v2, if it is mounted and counts its dying groups."""
    for mount in mounts:
        if not mount.controllers:
            top = mount.point.strip("/")
            with contextlib.suppress(errors.AbsentError):
                census = _census(host, top)
                where = _where(host, top, census) if census.dying >= _MANY else None
                yield UNIFIED, census, where
                return


def _census(host: Host, directory: str) -> Census:
    path = f"{directory}/{_STAT}"
    return cgroup_hierarchies.census(host.read(path, 4096), path)


def _where(host: Host, top: str, census: Census) -> str | None:
    """Return the smallest subtree with most of the dying groups; None where they are all over."""
    found = top
    for _ in range(_DEPTH):
        below = max(_below(host, found), key=lambda child: child[1], default=None)
        if below is None or below[1] * 2 <= census.dying:
            break
        found = below[0]
    return None if found == top else found.removeprefix(top)


def _below(host: Host, directory: str) -> Iterator[tuple[str, int]]:
    """Yield the groups directly below one, with how many below them are dying."""
    names = host.names(directory)
    for name in names[:_BROADEST]:
        # The files of a group are named after a controller or the core; systemd's units are not.
        if name.startswith(("cgroup.", "memory.", "cpu.", "io.", "pids.", "cpuset.", "hugetlb.")):
            continue
        with contextlib.suppress(errors.AbsentError):
            yield f"{directory}/{name}", _census(host, f"{directory}/{name}").dying


def _divided(host: Host, mounts: list[Mount], blind: list[str]) -> Iterator[_Counted]:
    """Yield the hierarchies of v1: what is counted beyond the directories is dying."""
    table: dict[frozenset[str], int] = {}
    with contextlib.suppress(errors.AbsentError):
        table = cgroup_hierarchies.numbers(host.read(_TABLE), _TABLE)
    for controllers, number in table.items():
        # The options name more than the controllers: rw, release_agent=….
        point = next((m.point for m in mounts if controllers <= m.controllers), None)
        if point is None:
            continue
        try:
            living = _directories(host, point)
        except errors.HostError as error:
            blind.append(str(error))
            continue
        name = ",".join(sorted(controllers))
        yield name, Census(living, max(0, number - living), name), None


def _directories(host: Host, point: str) -> int:
    probe = CgroupDirectories(point)
    return cgroup_hierarchies.directories(host.probe(probe), probe.name)


SOURCE = Source(
    name="cgroups",
    sample=Sample,
    reads=(
        _MOUNTS,
        _TABLE,
        f"sys/fs/cgroup/*/{_STAT}",
        "probe cgroup-directories",
    ),
    collect=collect,
    period=600.0,
    memory=History,
    remember=lambda sample: sample.history,
)
