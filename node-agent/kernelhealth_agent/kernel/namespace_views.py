"""What the views of network namespaces disagree about, over several looks.

The slab allocator counts every namespace, but counts the last ones that were destroyed too, until
the next one is (net/core/net_namespace.c: cleanup_net, net_defer_free_list). So only what was
counted too many in each look of an hour is worth a word.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_agent.kernel.in_flight import InTransit
from kernelhealth_agent.kernel.inside import Inside
from kernelhealth_agent.kernel.namespace_answers import Answers

_WINDOW, _BUCKET = 3600.0, 600.0
_MOST = 64
_TRANSIT_EVERY = 300.0


@dataclass(frozen=True, slots=True)
class Low:
    """The least that was counted too many in some minutes; *uptime* is of the first look then."""

    uptime: float
    excess: int


@dataclass(frozen=True, slots=True)
class Transit:
    """Descriptors in flight, at an uptime when the namespaces with these ids were out of reach."""

    uptime: float
    about: tuple[int, ...]
    found: tuple[InTransit, ...] = ()

    def serves(self, about: tuple[int, ...], uptime: float) -> bool:
        """Whether that is still good: to look at all sockets of a machine takes its time."""
        return about == self.about and 0 <= uptime - self.uptime < _TRANSIT_EVERY


@dataclass(frozen=True, slots=True)
class Opened:
    """What was seen inside the namespace of an id, at an uptime in seconds."""

    nsid: int
    uptime: float
    inside: Inside

    def serves(self, uptime: float) -> bool:
        """Whether that is still good: a device for each look would be news that makes looks."""
        return 0 <= uptime - self.uptime < _WINDOW


@dataclass(frozen=True, slots=True)
class Views:
    """What is remembered: *lows* of the last hour, oldest first; ids that nothing seen leads to.

    *unseen* were there in this look and in the one before, *candidates* in this one. *transit* is
    what was found in flight while a holder was unknown, *opened* what was inside, *answers* who
    keeps what is out of reach. *objects* are what the slab allocator counted, *members* those of
    the kernel's own list, when they were asked last.
    """

    lows: tuple[Low, ...] = ()
    unseen: tuple[int, ...] = ()
    candidates: tuple[int, ...] = ()
    transit: Transit | None = None
    opened: tuple[Opened, ...] = ()
    answers: Answers | None = None
    objects: int | None = None
    members: int | None = None

    @property
    def excess(self) -> int:
        """How many namespaces each look of the last hour counted too many."""
        return min((low.excess for low in self.lows), default=0)


def updated(
    past: Views | None, uptime: float, excess: int | None, unseen: tuple[int, ...]
) -> Views:
    """Return what is to be remembered after a look; *excess* is None where it was not counted."""
    past = past or Views()
    lows = [low for low in past.lows if 0 <= uptime - low.uptime <= _WINDOW]
    if excess is not None:
        if lows and uptime - lows[-1].uptime < _BUCKET:
            lows[-1] = Low(lows[-1].uptime, min(lows[-1].excess, excess))
        else:
            lows.append(Low(uptime, excess))
    both = tuple(sorted(set(unseen) & set(past.candidates)))
    return Views(tuple(lows), both[:_MOST], unseen[:_MOST])


def counted(
    past: Views | None, objects: int | None, members: int | None, *, anew: bool
) -> tuple[int | None, int | None]:
    """Return the counts of the slab allocator and of the kernel's list, those of now or the last.

    A look that asks *anew* and has no answer has none.
    """
    before = (None, None) if past is None or anew else (past.objects, past.members)
    return (
        before[0] if objects is None else objects,
        before[1] if members is None else members,
    )
