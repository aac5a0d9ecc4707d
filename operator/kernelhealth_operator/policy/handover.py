"""Asking another project to replace a node: once, with a trace on the Node, and not for ever.

The Node's annotation is written before anything is asked and again afterwards. So a request is
found again after a crash, taken back at the end, and one that somebody else took back meanwhile is
not made a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kernelhealth_api import duration
from kernelhealth_api.procedure import (
    Await,
    Effect,
    GaveUp,
    PatchNode,
    Patient,
    Proceed,
    Progress,
)
from kernelhealth_api.remediation import HANDED_OVER_BY

LOOK_AGAIN = timedelta(seconds=30)
"""After how long it is looked again how the other project gets on."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The trace on a Node: who *asked* (or is about to) which project (*via*) at what place."""

    owner: str
    asked: bool
    via: str
    place: str

    def __str__(self) -> str:
        return f"{self.owner} {'asked' if self.asked else 'asks'} {self.via} {self.place}"


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked of a project.

    *what* it is called in a sentence. *effects* ask for it, *back* takes it back. *there*: it is
    being asked for in the name of this treatment. *course* says how it gets on.
    """

    via: str
    place: str
    what: str
    effects: tuple[Effect, ...]
    back: tuple[Effect, ...]
    there: bool
    course: Progress


def mark_of(annotations: Mapping[str, str]) -> Mark | None:
    """Return the trace that a Node with *annotations* bears; one that makes no sense is none."""
    parts = annotations.get(HANDED_OVER_BY, "").split(" ")
    if len(parts) != 4 or parts[1] not in {"asks", "asked"} or not parts[0]:
        return None
    return Mark(parts[0], parts[1] == "asked", parts[2], parts[3])


def go_on(patient: Patient, asking: Asking, timeout: timedelta) -> Progress:
    """Ask, and follow it up; after *timeout* it is taken back and given up."""
    mark = mark_of(patient.annotations)
    if mark is not None and mark.owner != patient.owner:
        what = f"the node was handed over by NodeRemediation {mark.owner} already"
        return Await("OthersAtWork", what, again(patient, timeout))
    begun = patient.rung.started_at
    if begun is not None and begun + timeout <= patient.now:
        return _too_late(patient, asking, timeout)
    if mark is None:
        return Proceed((_mark(patient, asking, asked=False),), f"is about to ask for {asking.what}")
    if mark.asked:
        return _followed(patient, asking)
    if not asking.there:
        return Proceed(asking.effects, f"asks for {asking.what}")
    return Proceed((_mark(patient, asking, asked=True),), f"asked for {asking.what}")


def again(patient: Patient, timeout: timedelta) -> datetime:
    """Return when to look again: soon, and when the time is up."""
    soon = patient.now + LOOK_AGAIN
    begun = patient.rung.started_at
    return soon if begun is None else min(soon, max(begun + timeout, patient.now))


def unmark(name: str, resource_version: str) -> PatchNode:
    """Return the patch that takes the trace off a Node."""
    metadata = {"resourceVersion": resource_version, "annotations": {HANDED_OVER_BY: None}}
    return PatchNode(name, resource_version, {"metadata": metadata})


def conditions_of(body: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the conditions in the status of an object, by their types."""
    found: Iterable[Any] = (body.get("status") or {}).get("conditions") or ()
    return {str(one.get("type")): one for one in found if isinstance(one, Mapping)}


def is_true(conditions: Mapping[str, Mapping[str, Any]], kind: str, status: str = "True") -> bool:
    """Whether the condition of that *kind* is there and has that *status*."""
    return conditions.get(kind, {}).get("status") == status


def said(condition: Mapping[str, Any] | None) -> str:
    """Return what a condition says, as part of a sentence."""
    if condition is None:
        return "nothing"
    return str(condition.get("message") or condition.get("reason") or condition.get("status"))


def _followed(patient: Patient, asking: Asking) -> Progress:
    if not asking.there:
        return GaveUp(f"{asking.what} is not asked for any more: {patient.rung.message}")
    # What has failed is taken back before it is given up, for its traces would stop what follows.
    if isinstance(asking.course, GaveUp) and asking.back:
        return Proceed(asking.back, f"{asking.course.message}; it is taken back")
    return asking.course


def _too_late(patient: Patient, asking: Asking, timeout: timedelta) -> Progress:
    how = asking.course.message
    what = f"{asking.what} came to nothing within {duration.text(timeout)}: {how}"
    if asking.there and asking.back:
        return Proceed(asking.back, f"{what}; it is taken back")
    return GaveUp(patient.rung.message if "came to nothing" in patient.rung.message else what)


def _mark(patient: Patient, asking: Asking, *, asked: bool) -> PatchNode:
    text = str(Mark(patient.owner, asked, asking.via, asking.place))
    version = patient.resource_version
    metadata = {"resourceVersion": version, "annotations": {HANDED_OVER_BY: text}}
    return PatchNode(patient.name, version, {"metadata": metadata})
