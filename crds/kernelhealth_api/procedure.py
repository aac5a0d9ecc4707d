"""Remediations that take their time: drain, reboot, what an agent is asked to do.

A procedure is asked again and again how to go on, with all that is known of the node at that
moment, and answers with one of four words. It keeps nothing between the questions, so that the
operator can be stopped at any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from kernelhealth_api.effect import (
    AskAgent,
    Create,
    DeletePod,
    Effect,
    Evict,
    Merge,
    PatchNode,
    PatchStatus,
    Withdraw,
)
from kernelhealth_api.v1alpha1.finding import Finding
from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec
from kernelhealth_api.v1alpha1.noderemediation import Preview, RungState
from kernelhealth_api.v1alpha1.request import HostRequest, RequestStatus

__all__ = (
    "AskAgent",
    "Create",
    "DeletePod",
    "Effect",
    "Evict",
    "Merge",
    "PatchNode",
    "PatchStatus",
    "Withdraw",
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patient:
    """All that the next step of a procedure depends on.

    *owner* is the NodeRemediation, *rung* how far this action has come, *number* its place in the
    plan. *boot_id* is of the running node, *boot_at_start* of when the incident began,
    *report_boot_id* of the agent's last report, None while it is silent. *findings* are those that
    are treated. *asked* is what the agent is being asked for at present, *answer* what it said of
    its last request. *read* has the bodies of what ``reads`` asked for, None for what is not there.
    *others_available* counts the other nodes of the policy that take pods.
    """

    now: datetime
    name: str
    uid: str
    resource_version: str
    owner: str
    number: int
    rung: RungState
    policy: KernelHealthPolicySpec
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    ready: bool = True
    boot_id: str | None = None
    boot_at_start: str | None = None
    report_boot_id: str | None = None
    findings: tuple[Finding, ...] = ()
    asked: HostRequest | None = None
    answer: RequestStatus | None = None
    read: Mapping[str, Any] = field(default_factory=dict)
    others_available: int = 0

    @property
    def request_id(self) -> str:
        """The id under which this action asks the agent first; further ones add to it.

        The name of a treatment that was deleted is given again, and then nothing may be taken for
        done that was done in the name of the other one: so the id has the time of its beginning.
        """
        begun = self.rung.started_at or self.now
        return f"{self.owner}-{self.number}-{int(begun.timestamp()):x}"

    @property
    def cures(self) -> tuple[str, ...]:
        """The cures that the findings name, mildest first, each once."""
        return tuple(dict.fromkeys(cure for found in self.findings for cure in found.cures))


@dataclass(frozen=True, slots=True)
class Proceed:
    """Do this now, and ask again when it is done, or at *retry_at*; *message* says what it is."""

    effects: tuple[Effect, ...]
    message: str
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Await:
    """Wait, for the *reason* in one word and *message* as a sentence."""

    reason: str
    message: str
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """It is done; whether it helped is for the findings to say."""

    message: str


@dataclass(frozen=True, slots=True)
class GaveUp:
    """It cannot be done, or took too long: the next rung follows at once.

    *quietly*: there was nothing to do, which is no news. *stops*: what follows rests on it, so that
    the treatment ends as Failed instead; the node keeps its marks.
    """

    message: str
    quietly: bool = False
    stops: bool = False


Progress = Proceed | Await | Finished | GaveUp


def _nothing(patient: Patient, settings: Any) -> tuple[str, ...]:  # noqa: ARG001
    return ()


def _at_once(settings: Any) -> timedelta:  # noqa: ARG001
    return timedelta(0)


@dataclass(frozen=True, slots=True)
class Procedure(Generic[T]):
    """How an action goes on, step by step.

    *reads* names the paths at the API server that are to be read live before each step; it is asked
    again with what was read, in case that leads to more. *settle* is for how long the findings may
    still be there before the next rung follows. Who *endures* goes on
    while the agent is silent or has not measured: a reboot does. *heals*: when all such actions of
    a plan are done and the findings stay, the treatment was in vain. *preview* tells what would
    come of it, while the treatment waits, from that and from what *foresees* names. *waits* says
    what it waits for before it begins at all; with True it is asked on behalf of an action before
    it, which is not to disturb anybody either until then.
    """

    advance: Callable[[Patient, T], Progress]
    reads: Callable[[Patient, T], tuple[str, ...]] = _nothing
    settle: Callable[[T], timedelta] = _at_once
    endures: bool = False
    heals: bool = True
    preview: Callable[[Patient, T], Preview] | None = None
    foresees: Callable[[Patient, T], tuple[str, ...]] = _nothing
    waits: Callable[[Patient, T, bool], Await | None] | None = None
