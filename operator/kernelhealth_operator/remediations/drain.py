"""drain: the node is emptied through the Eviction API, a few pods at a time.

What is left and what is refused is as with kubectl drain --ignore-daemonsets; see
``policy/leaving.py``. Nothing is remembered between two looks but when the last eviction was asked
for: who is still there is read anew each time, so that other people's evictions help, and an
operator that was restarted goes on.
"""

from __future__ import annotations

import enum
import math
from datetime import datetime, timedelta

from pydantic import Field

from kernelhealth_api.duration import Duration, text
from kernelhealth_api.procedure import (
    Await,
    DeletePod,
    Evict,
    Finished,
    GaveUp,
    Patient,
    Procedure,
    Proceed,
    Progress,
)
from kernelhealth_api.remediation import DisruptionLevel, Permission, Remediation, Settings
from kernelhealth_operator.policy import capacity, departure, leaving
from kernelhealth_operator.policy.leaving import Household, NotReadError, Terms, listed
from kernelhealth_operator.policy.pdbs import Cleared
from kernelhealth_operator.policy.pods import Pod

_ASK_AGAIN = timedelta(seconds=5)
"""After how long a pod is asked again that neither went nor is forbidden to."""
_LOOK_AGAIN = timedelta(seconds=5)


class WhenBlocked(enum.StrEnum):
    """What is done about pods that a PodDisruptionBudget does not let go for long."""

    WAIT = "Wait"
    ABORT = "Abort"
    DELETE = "Delete"


class Drain(Settings):
    """How patient and how strict it is."""

    timeout: Duration = Field(
        timedelta(minutes=30),
        description="How long it may take, pauses included; 0s: without a limit.",
    )
    when_blocked: WhenBlocked = Field(
        WhenBlocked.WAIT,
        description="Wait for the PodDisruptionBudget until the timeout, Abort, or Delete the pods"
        " in spite of it.",
    )
    blocked_after: Duration = Field(
        timedelta(minutes=5),
        description="How long nobody may have been let go until that is done.",
    )
    grace_period: Duration | None = Field(
        None, description="What pods are given to end, at least 1s; by default what they ask for."
    )
    delete_empty_dir: bool = Field(
        default=False, description="Whether pods may go whose emptyDir volumes are lost with them."
    )
    force: bool = Field(
        default=False, description="Whether pods may go that no controller makes anew."
    )
    at_once: int = Field(10, ge=1, le=50, description="Most pods that are on their way at once.")
    required: bool = Field(
        default=True,
        description="When the node cannot be emptied: the treatment ends as Failed and the node"
        " stays cordoned; else the next action follows all the same.",
    )


def reads(patient: Patient, settings: Drain) -> tuple[str, ...]:  # noqa: ARG001
    """Name the pods of the node, and the budgets where pods have to go."""
    return leaving.reads(patient.name, patient.read)


def advance(patient: Patient, settings: Drain) -> Progress:
    """Ask for the next evictions, or say what they wait for."""
    again = patient.now + _LOOK_AGAIN
    try:
        found = leaving.household(patient.name, patient.read)
        pods = leaving.cleared(found, patient.read)
    except NotReadError as error:
        return Await("PodsUnknown", str(error), again)
    if not found.ending and not found.waiting:
        stay = f"; {len(found.staying)} of DaemonSets and of the node itself stay"
        return Finished(f"no pods are left that had to go{stay if found.staying else ''}")
    if why := found.refusal(Terms(settings.force, settings.delete_empty_dir)):
        return GaveUp(f"the node is not drained: {why}", stops=settings.required)
    begun = patient.rung.started_at
    if begun is None:
        return Proceed((), f"{len(found.waiting)} pods have to go")
    if settings.timeout and begun + settings.timeout <= patient.now:
        return GaveUp(_too_late(found, pods, settings), stops=settings.required)
    return _go_on(patient, settings, found, pods)


def _go_on(patient: Patient, settings: Drain, found: Household, pods: Cleared) -> Progress:
    stepped, again = patient.rung.stepped_at, patient.now + _LOOK_AGAIN
    if stepped is not None and patient.now < stepped + _ASK_AGAIN:
        return Await("Evicting", departure.progress(found), stepped + _ASK_AGAIN)
    room = settings.at_once - len(found.ending)
    if pods.free and room > 0:
        next_ones = pods.free[:room]
        effects = tuple(_evict(pod, settings) for pod in next_ones)
        return Proceed(effects, f"evicts {listed(next_ones)}", again)
    if pods.free or found.ending or not pods.blocked:
        # Those that end may make room in a budget, by being replaced elsewhere.
        return Await("PodsTerminating", departure.progress(found), again)
    return _blocked(patient, settings, pods)


def _blocked(patient: Patient, settings: Drain, pods: Cleared) -> Progress:
    rung, now = patient.rung, patient.now
    since = rung.stepped_at or rung.started_at or now
    what, until = departure.blocked(pods), since + settings.blocked_after
    if settings.when_blocked is WhenBlocked.WAIT:
        limit = _limit(rung.started_at, settings)
        return Await("DisruptionBudget", f"{what}{limit}", now + _LOOK_AGAIN)
    if now < until:
        then = "the drain is aborted" if settings.when_blocked is WhenBlocked.ABORT else "they go"
        message = f"{what}; if that lasts until {until:%Y-%m-%d %H:%M:%SZ}, {then}"
        return Await("DisruptionBudget", message, min(until, now + _LOOK_AGAIN))
    if settings.when_blocked is WhenBlocked.ABORT:
        return GaveUp(f"the drain was aborted: {what}", stops=settings.required)
    next_ones = tuple(pod for pod, _ in pods.blocked[: settings.at_once])
    effects = tuple(_delete(pod, settings) for pod in next_ones)
    return Proceed(effects, f"deletes {listed(next_ones)}, although {what}", now + _LOOK_AGAIN)


def _too_late(found: Household, pods: Cleared, settings: Drain) -> str:
    left = listed((*found.ending, *found.waiting))
    why = f": {departure.blocked(pods)}" if pods.blocked else ""
    return f"the node was not empty after {text(settings.timeout)}, {left} are left{why}"


def _limit(begun: datetime | None, settings: Drain) -> str:
    if begun is None or not settings.timeout:
        return ""
    return f"; it is waited for until {begun + settings.timeout:%Y-%m-%d %H:%M:%SZ}"


def _evict(pod: Pod, settings: Drain) -> Evict:
    return Evict(pod.namespace, pod.name, pod.uid, _grace(settings))


def _delete(pod: Pod, settings: Drain) -> DeletePod:
    return DeletePod(pod.namespace, pod.name, pod.uid, _grace(settings))


def _grace(settings: Drain) -> int | None:
    # Never 0: that would take the pod from the API while its processes still run.
    period = settings.grace_period
    return None if period is None else max(1, math.ceil(period.total_seconds()))


REMEDIATION = Remediation(
    name="drain",
    summary="Empties the node through the Eviction API, as kubectl drain does, but for DaemonSets.",
    disruption=DisruptionLevel.EVICTION,
    settings=Drain,
    needs=(
        Permission("", "pods", ("list", "delete")),
        Permission("", "pods/eviction", ("create",)),
        Permission("policy", "poddisruptionbudgets", ("list",)),
    ),
    procedure=Procedure(
        advance,
        reads=reads,
        heals=False,
        preview=lambda patient, _: departure.preview(patient),
        foresees=lambda patient, _: capacity.reads(patient.name, patient.read),
    ),
    did="NodeDraining",
)
