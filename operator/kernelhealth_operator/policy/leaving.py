"""Who has to leave a node that is to be emptied, in which order, and who stands in the way.

The yardstick is kubectl drain --ignore-daemonsets: what it leaves is left, what it refuses without
a flag is refused without the setting. Unlike there, pods that are leaving by somebody else's hand
are let go whatever they are.
Source: kubectl's pkg/drain/filters.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from kernelhealth_operator.policy import pdbs, pods
from kernelhealth_operator.policy.pdbs import Budget, Cleared
from kernelhealth_operator.policy.pods import Pod

Read = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Terms:
    """What may be done to pods: whether those without a controller and emptyDirs may be lost."""

    force: bool
    delete_empty_dir: bool


@dataclass(frozen=True, slots=True)
class Household:
    """The pods of a node, sorted by what becomes of them.

    *staying* are of the node itself, *ending* are on their way, *waiting* have to go, in that
    order. *exact*: the list is as current as the API server has it.
    """

    staying: tuple[Pod, ...]
    ending: tuple[Pod, ...]
    waiting: tuple[Pod, ...]
    exact: bool

    def uncontrolled(self) -> tuple[Pod, ...]:
        """Return those that nobody would make anew."""
        return tuple(each for each in self.waiting if not (each.finished or each.controlled))

    def scratch(self) -> tuple[Pod, ...]:
        """Return those whose emptyDir volumes would be lost."""
        return tuple(each for each in self.waiting if each.scratch and not each.finished)

    def refusal(self, terms: Terms) -> str:
        """Return why nobody may be sent away under these *terms*; empty: nothing is against it."""
        objections = []
        if not terms.delete_empty_dir and (found := self.scratch()):
            which = f"the emptyDir volumes of {listed(found)} would be lost"
            objections.append(f"{which}: set deleteEmptyDir to allow that")
        if not terms.force and (found := self.uncontrolled()):
            which = f"nobody would make {listed(found)} anew"
            objections.append(f"{which}: set force to allow that")
        return "; ".join(objections)


class NotReadError(Exception):
    """What the API server said about pods or budgets cannot be used."""


def reads(node: str, read: Read) -> tuple[str, ...]:
    """Return what has to be read about *node* after what was *read*.

    That nobody is left is only believed of an exact list; budgets are read where they matter.
    """
    roughly, exactly = pods.path(node, exact=False), pods.path(node, exact=True)
    if roughly not in read:
        return (roughly,)
    try:
        found = household(node, read)
    except NotReadError:
        return (roughly,)
    if not found.ending and not found.waiting and not found.exact:
        return roughly, exactly
    guarded = sorted({each.namespace for each in found.waiting if not each.unguarded})
    more = (exactly,) if exactly in read else ()
    return (roughly, *more, *(pdbs.path(namespace) for namespace in guarded))


def household(node: str, read: Read) -> Household:
    """Return who is on *node*, by the most exact list that was *read*; raises ``NotReadError``."""
    path = pods.path(node, exact=True)
    exact = path in read
    body = read.get(path if exact else pods.path(node, exact=False))
    try:
        everybody = pods.pods_of(body or {})
    except ValidationError as error:
        raise NotReadError(_unreadable(f"the pods of {node}", error)) from error
    staying = tuple(each for each in everybody if _stays(each))
    going = [each for each in everybody if not _stays(each)]
    return Household(
        staying=staying,
        ending=tuple(each for each in going if each.leaving),
        waiting=tuple(sorted((each for each in going if not each.leaving), key=_turn)),
        exact=exact,
    )


def cleared(found: Household, read: Read) -> Cleared:
    """Return which of those that have to go may go now; raises ``NotReadError``."""
    budgets: list[Budget] = []
    for namespace in sorted({each.namespace for each in found.waiting if not each.unguarded}):
        body = read.get(pdbs.path(namespace))
        try:
            budgets += pdbs.budgets_of(body or {})
        except ValidationError as error:
            what = f"the PodDisruptionBudgets of namespace {namespace}"
            raise NotReadError(_unreadable(what, error)) from error
    return pdbs.clear(found.waiting, budgets)


def listed(things: Iterable[object], most: int = 5) -> str:
    """Return *things* as part of a sentence, the first few by name."""
    names = [str(each) for each in things]
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _unreadable(what: str, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{what} cannot be read as they were listed: {where}: {first['msg']}"


def _stays(pod: Pod) -> bool:
    return pod.mirror or (pod.daemon and not pod.finished)


def _turn(pod: Pod) -> tuple[bool, int, str, str]:
    """Whoever does no work goes first, then who matters least."""
    return pod.ready and not pod.finished, pod.priority, pod.namespace, pod.name
