"""reboot: the node's agent boots the host anew, when the policy says so.

It evicts nothing by itself: a plan without a drain before it takes the pods down with the node.
While it lasts the node is kept out of external load balancers and is not scaled down. What was put
on the Node for that is named in an annotation, and only that is taken off again in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pydantic import Field

from kernelhealth_api.duration import Duration
from kernelhealth_api.procedure import (
    AskAgent,
    Await,
    GaveUp,
    PatchNode,
    Patient,
    Procedure,
    Proceed,
    Progress,
)
from kernelhealth_api.remediation import (
    DisruptionLevel,
    Permission,
    Remediation,
    Settings,
    Target,
    prepared_by,
)
from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec
from kernelhealth_api.v1alpha1.request import RebootMethod
from kernelhealth_operator.policy import preparing, rebooting
from kernelhealth_operator.policy.appointment import Appointment, When, Wish, arrange
from kernelhealth_operator.policy.forecast import runs_out
from kernelhealth_operator.policy.foreign import lock_holder
from kernelhealth_operator.policy.rebooting import LEAST

_LOOK_AGAIN = timedelta(minutes=1)
_NAME = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"


class Reboot(Settings):
    """When and how."""

    when: When = Field(
        When.MAINTENANCE_WINDOW,
        description="MaintenanceWindow: in the next window. BeforeExhaustion: in the last window "
        "before the node runs out by its forecast, at once if there is none, and in the next one "
        "without a forecast. Now: as soon as there is room. A drain before it waits as well.",
    )
    method: RebootMethod = Field(
        RebootMethod.CLEAN,
        description="Clean: the host's service manager stops everything first. Forced: the kernel "
        "reboots at once.",
    )
    escalate: bool = Field(
        False, description="Whether it is Forced when a Clean one has not come about in time."
    )
    timeout: Duration = Field(
        timedelta(minutes=15), description="How long the node has to come back."
    )
    expected: Duration = Field(
        timedelta(minutes=15),
        description="How long drain and reboot take together: with less than that left of a window "
        "neither is begun. The forecast when a queue is through counts with it until reboots were "
        "seen.",
    )
    verify_within: Duration = Field(
        timedelta(minutes=5), description="How long it has to help before the next action follows."
    )
    kured: str = Field(
        "kube-system/kured",
        description="The DaemonSet of kured, as namespace/name: nothing is rebooted while its lock "
        "is held. Empty: nobody looks.",
        pattern=_NAME,
        max_length=253,
    )


def advance(patient: Patient, settings: Reboot) -> Progress:
    """Prepare the node, ask its agent for the reboot, and wait for the new boot."""
    if (over := rebooting.outcome(patient, settings.timeout)) is not None:
        return over
    step = _next(patient, settings)
    if not isinstance(step, rebooting.Ask):
        return step
    if (wait := waits(patient, settings, early=False) or _locked(patient, settings)) is not None:
        return wait
    if (change := preparing.prepare(patient)) is not None:
        return Proceed((change,), "the node is taken out of load balancers and kept from scaling")
    return _ask(patient, settings, step)


def reads(patient: Patient, settings: Reboot) -> tuple[str, ...]:
    """Name the DaemonSet whose annotation is kured's lock, before anything is asked for."""
    if not settings.kured or rebooting.outcome(patient, settings.timeout) is not None:
        return ()
    asks = isinstance(_next(patient, settings), rebooting.Ask)
    return (_path(settings),) if asks else ()


def waits(patient: Patient, settings: Reboot, early: bool) -> Await | None:  # noqa: FBT001
    """Return what to wait for until it may begin; *early*: with what comes before it."""
    found = _appointment(patient, settings, early=early)
    if found is None:
        what = "the policy has no maintenance window that is long enough: add one, or change when"
        return Await("NoWindow", what)
    if found.begins <= patient.now:
        return None
    last = settings.when is When.BEFORE_EXHAUSTION and runs_out(patient.findings) is not None
    which = "last maintenance window before the forecast" if last else "next maintenance window"
    what = f"the {which} opens at {found.begins:%Y-%m-%d %H:%M:%SZ}"
    return Await("MaintenanceWindow", what, found.begins)


def revert(target: Target, owner: str) -> Iterator[PatchNode]:
    """Yield the patch that takes off what was put on the node for the reboot of *owner*."""
    if applied(target, owner):
        yield preparing.undo(target)


def applied(target: Target, owner: str) -> bool:
    """Whether *target* was prepared for a reboot in the name of *owner*."""
    return prepared_by(target.annotations) == owner


def flaw(settings: Reboot, policy: KernelHealthPolicySpec) -> str | None:
    """Return what keeps it from ever happening under *policy*."""
    if settings.when is When.NOW:
        return None
    if not policy.maintenance_windows:
        return "waits for a maintenance window, but the policy has none: add one, or set when: Now"
    if all(window.duration < settings.expected for window in policy.maintenance_windows):
        return "every maintenance window is shorter than expected: lengthen one, or shorten that"
    return None


def _appointment(patient: Patient, settings: Reboot, *, early: bool) -> Appointment | None:
    needs = max(settings.expected, LEAST) if early else LEAST
    wish = Wish(settings.when, needs, runs_out(patient.findings))
    return arrange(wish, patient.policy.maintenance_windows, patient.now)


def _next(patient: Patient, settings: Reboot) -> Progress | rebooting.Ask:
    if not patient.rung.requests:
        return rebooting.Ask(f"{patient.request_id}-reboot", settings.method)
    plan = rebooting.Plan(settings.method, settings.escalate, settings.timeout)
    return rebooting.pending(patient, plan)


def _ask(patient: Patient, settings: Reboot, ask: rebooting.Ask) -> Proceed | GaveUp:
    found = _appointment(patient, settings, early=False)
    request = rebooting.request(patient, ask, None if found is None else found.ends)
    return Proceed((AskAgent(request),), f"the agent is asked for a reboot ({ask.method})")


def _locked(patient: Patient, settings: Reboot) -> Await | None:
    holder = lock_holder(patient.read.get(_path(settings)), patient.now) if settings.kured else None
    if holder is None:
        return None
    what = f"kured holds its lock for {holder}: the annotation of DaemonSet {settings.kured} says"
    return Await("KuredLock", f"{what} so", patient.now + _LOOK_AGAIN)


def _path(settings: Reboot) -> str:
    namespace, _, name = settings.kured.partition("/")
    return f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}"


REMEDIATION = Remediation(
    name="reboot",
    summary="Boots the node anew, in a maintenance window or before the node runs out of what it"
    " loses. It evicts nothing: put drain before it.",
    disruption=DisruptionLevel.REBOOT,
    settings=Reboot,
    needs=(
        Permission("", "nodes", ("get", "patch")),
        Permission("apps", "daemonsets", ("get",)),
        Permission("kernelhealth.io", "nodekernelhealths", ("patch",)),
    ),
    revert=revert,
    applied=applied,
    did="RebootBegun",
    undid="RebootPreparationsReverted",
    procedure=Procedure(
        advance,
        reads=reads,
        settle=lambda settings: settings.verify_within,
        endures=True,
        waits=waits,
    ),
    flaw=flaw,
)
