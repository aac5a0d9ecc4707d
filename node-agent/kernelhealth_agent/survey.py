"""Decides how deep each inventory goes: a quick look, a full one, or with all descriptors."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Mapping

from kernelhealth_agent import attribution, inventory
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.inventory import glance, reach
from kernelhealth_agent.inventory.glance import Glance
from kernelhealth_agent.inventory.known import Answers, Known
from kernelhealth_agent.inventory.memory import out_of_sight
from kernelhealth_agent.inventory.reach import Reach
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace, Pod, Remembered
from kernelhealth_agent.looks import Round
from kernelhealth_agent.moments import Moment

_SETTLED = 10.0
"""Seconds; a process that is younger may be on its way into a container."""


class Effort(enum.Enum):
    """How much a look may cost.

    A FULL look takes no answer of an earlier one for granted, a STEADY one those that a thorough
    look will have again. A QUICK look becomes a steady one where a question is open; a FRUGAL one
    only where it was open at the look before already, for the kernel's next breath answers most.
    """

    FULL = enum.auto()
    STEADY = enum.auto()
    QUICK = enum.auto()
    FRUGAL = enum.auto()


class Surveyor:
    """Takes inventories, a thorough one at least every *every* seconds.

    ``doubt`` makes all of them thorough for as long as something is suspected or found that only a
    thorough look can see: it must not come and go with the kind of look. ``effort`` is what the
    next look may cost; afterwards ``full`` says whether everything was read, and ``waiting``
    whether a question was left open.
    """

    def __init__(self, places: attribution.Places, every: float) -> None:
        self.doubt = False
        self.effort = Effort.FULL
        self.full = False
        self.waiting = False
        self._places = places
        self._every = every
        self._thorough: float | None = None
        self._answers = Answers()
        self._known: Known | None = None
        self._young: Mapping[int, float] = {}
        self._open: frozenset[int] = frozenset()

    def __call__(self, host: Host, moment: Moment, memory: Mapping[int, Remembered]) -> Inventory:
        """Take the inventory; raises ``HostError``."""
        due = self._thorough is None or moment.uptime - self._thorough >= self._every
        thorough = due or self.doubt
        self.waiting, self.full = False, False
        if not thorough and self.effort in {Effort.QUICK, Effort.FRUGAL} and self._known:
            glanced = self._glance(host, memory, self._known)
            if glanced is not None:
                attribute = functools.partial(_attributed, host, glanced, self._known)
                return self._learned(host, glanced.reach, moment, attribute)
        self.full, self._open = True, frozenset()
        answers = Answers() if self.effort is Effort.FULL else self._answers
        found = reach.look(host, memory, self._known, answers, thorough=thorough)
        if thorough:
            self._thorough = moment.uptime
        return self._learned(host, found, moment, None)

    def _glance(self, host: Host, memory: Mapping[int, Remembered], known: Known) -> Glance | None:
        """Look quickly; None where a full look is needed."""
        found = glance.look(host, known, memory, self._answers)
        if found is None or out_of_sight(memory, found.reach.spaces, self._answers.at):
            return None
        left = found.reach.open
        urgent = left & self._open if self.effort is Effort.FRUGAL else left
        if urgent:
            return None
        self.waiting, self._open = bool(left), left
        return found

    def _learned(
        self, host: Host, found: Reach, moment: Moment, attribute: inventory.Attribute | None
    ) -> Inventory:
        """Return the inventory, and keep what the next look need not find out again."""
        seen = inventory.assembled(host, found, moment.wall, self._places, attribute)
        if found.asked:
            self._answers = Answers(moment.wall, seen.unreachable)
        else:
            lost = self._answers.lost & seen.unreachable
            self._answers = dataclasses.replace(self._answers, lost=lost)
        self._learn(seen, found, moment.uptime)
        return seen

    def _learn(self, seen: Inventory, found: Reach, uptime: float) -> None:
        """Keep which processes have settled."""
        before = self._known.settled if self._known is not None else {}
        settled, young = {}, {}
        for pid, task in found.tasks.items():
            first = self._young.get(pid, uptime)
            if uptime - first >= _SETTLED or before.get(pid) == task:
                settled[pid] = task
            else:
                young[pid] = first
        self._known, self._young = Known(seen, found.tasks, settled, found.blind), young


def _attributed(
    host: Host, glanced: Glance, known: Known, space: Namespace, named: Mapping[str, Pod]
) -> Namespace:
    """Return a namespace with its pod: what was told by processes that are still in it stands."""
    past = known.inventory.namespaces.get(space.inode)
    if past is None or not _stands(past, space, glanced, known):
        return inventory.attributed(host, glanced.reach.memory, space, named)
    return dataclasses.replace(space, pod=past.pod, sandbox=past.sandbox, cookie=past.cookie)


def _stands(past: Namespace, space: Namespace, glanced: Glance, known: Known) -> bool:
    if space.inode not in glanced.sure or past.nsid != space.nsid:
        return False
    if past.pod is None:
        return all(pid in known.settled for pid in space.pids)
    # Of a process that is left alone in there nobody knows yet whether it is one of the pod's.
    same = set(past.pids) <= set(space.pids)
    return same and bool(past.pod.name) and past.pod.known_by == "cgroup"


def is_doubtful(made: Round, *, before: bool) -> bool:
    """Whether something is seen of a namespace that only a thorough look can see.

    That is one that nothing leads to and that has no id either. An id that nothing leads to is
    asked for by every look that confirms it.
    """
    inventory = made.inventory
    if inventory is None:
        return before
    near = {*inventory.namespaces, inventory.host.inode, None}
    return any(
        observation.subject.namespace not in near
        and observation.subject.nsid not in inventory.unreachable
        for look in made.looks
        for observation in look.observations
    )
