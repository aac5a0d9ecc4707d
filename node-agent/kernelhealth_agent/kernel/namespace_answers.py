"""What tells of one network namespace, and for how long an answer that was dear is good."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass

_SETTLED = 180.0
"""Seconds; until then what keeps a namespace that just went out of reach may well change."""
_GOOD_FOR = 900.0
_MOST = 1024


@dataclass(frozen=True, slots=True)
class Socket:
    """An open socket that keeps a namespace: the process (comm[pid]) and its descriptor."""

    process: str
    descriptor: int
    inode: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A namespace in the kernel's own list of all, with its reference counts.

    *active* are the references that keep it working, 0 while it is dismantled; *passive* those
    that keep its memory; *nsid* is its id in the host's namespace. None is what this kernel does
    not have, for *nsid* that it has no id.
    """

    inode: int
    active: int
    passive: int | None = None
    cookie: int | None = None
    nsid: int | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What was asked at an uptime, while the ids *about* had been out of reach *since* another one.

    *sockets* are with the id of the namespace that each keeps, *listed* is the kernel's own list of
    namespaces, None where it was not read; *alone* are those of it that nothing else shows.
    """

    uptime: float
    since: float
    about: tuple[int, ...]
    sockets: tuple[tuple[int | None, Socket], ...] = ()
    listed: tuple[Listed, ...] | None = None
    alone: tuple[Listed, ...] = ()

    def serves(self, about: tuple[int, ...], uptime: float) -> bool:
        """Whether it is still good: it takes all sockets of a machine, and all its symbols."""
        settled = self.uptime - self.since >= _SETTLED
        return settled and about == self.about and 0 <= uptime - self.uptime < _GOOD_FOR

    def kept(self, inodes: Collection[int]) -> Answers:
        """Return what is of use later: what is of those ids or of those inode numbers.

        One more that has an id is kept, to tell that the list knows ids. What nothing but the list
        shows must be asked for each time.
        """
        about, listed = set(self.about), self.listed
        if listed is not None:
            lost = [s for s in listed if s.nsid in about or s.inode in inodes]
            lost += [s for s in listed if s.nsid is not None and s not in lost][:1]
            listed = tuple(lost[:_MOST])
        sockets = tuple(each for each in self.sockets if each[0] in about)[:_MOST]
        since = self.uptime if self.alone else self.since
        return dataclasses.replace(self, since=since, sockets=sockets, listed=listed, alone=())
