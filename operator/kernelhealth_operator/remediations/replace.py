"""replace: another project is asked for a new machine in the place of this one.

It is the last thing that can be done, and none of the three drains by our rules: put a drain before
it. What was asked for is taken back when the treatment ends before it came about.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import timedelta

from pydantic import Field

from kernelhealth_api.duration import Duration
from kernelhealth_api.procedure import GaveUp, Patient, Procedure, Progress, Withdraw
from kernelhealth_api.remediation import (
    Action,
    DisruptionLevel,
    Permission,
    Remediation,
    Settings,
    Target,
)
from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec
from kernelhealth_operator.policy import handover, karpenter, machines, medik8s

_KUBELETS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_NAMES = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"


class Via(enum.StrEnum):
    """Who is asked."""

    MEDIK8S = "medik8s"
    CLUSTER_API = "clusterAPI"
    KARPENTER = "karpenter"


class Template(Settings):
    """A template of a remediator of medik8s, such as a MachineDeletionRemediationTemplate."""

    api_version: str = Field(
        "",
        description="Group and version, such as machine-deletion-remediation.medik8s.io/v1alpha1.",
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/v[a-z0-9]+)?$",
        max_length=253,
    )
    kind: str = Field(
        "",
        description="Its kind, which ends in Template.",
        pattern="^([A-Z][A-Za-z0-9]*Template)?$",
        max_length=63,
    )
    name: str = Field("", description="Its name.", pattern=_NAMES, max_length=253)
    namespace: str = Field(
        "",
        description="Its namespace; the remediation is made there too.",
        pattern=_NAMES,
        max_length=63,
    )


class Replace(Settings):
    """Who is asked, and for how long it is waited."""

    via: Via = Field(
        Via.MEDIK8S,
        description="medik8s: a remediation is made from the template. clusterAPI: the node's "
        "Machine is annotated for the MachineHealthCheck that selects it. karpenter: the node gets "
        "the condition, for which Karpenter's provider must have a repair policy.",
    )
    template: Template = Field(
        default_factory=Template, description="What is made for medik8s, and from what."
    )
    condition: str = Field(
        "",
        description="Type of the condition that is set to False for karpenter, one that its "
        "provider repairs, such as KernelReady with AWS. It terminates such nodes by force: put a "
        "drain before it.",
        pattern="^([A-Za-z][A-Za-z0-9./-]*)?$",
        max_length=253,
    )
    timeout: Duration = Field(
        timedelta(hours=2),
        description="How long the other project has; then it is taken back and given up.",
    )
    verify_within: Duration = Field(
        timedelta(minutes=5), description="How long it has to help before the next action follows."
    )


def flaw(settings: Replace, policy: KernelHealthPolicySpec) -> str | None:  # noqa: ARG001
    """Return what is not said of whom is to be asked for what."""
    given = settings.template
    told = all((given.api_version, given.kind, given.name, given.namespace))
    if settings.via is Via.MEDIK8S and not told:
        return "via medik8s needs the apiVersion, kind, name and namespace of a template"
    unfit = not settings.condition or settings.condition in _KUBELETS
    if settings.via is Via.KARPENTER and unfit:
        return "via karpenter needs a condition that its provider repairs, none of the kubelet's"
    return None


def reads(patient: Patient, settings: Replace) -> tuple[str, ...]:
    """Name the objects of the other project."""
    if flaw(settings, patient.policy):
        return ()
    match settings.via:
        case Via.MEDIK8S:
            return medik8s.reads(patient, _reference(settings))
        case Via.CLUSTER_API:
            return machines.reads(patient)
        case Via.KARPENTER:
            return karpenter.reads(patient)


def advance(patient: Patient, settings: Replace) -> Progress:
    """Ask the other project, and wait for what it makes of it."""
    if why := flaw(settings, patient.policy):
        return GaveUp(why)
    match settings.via:
        case Via.MEDIK8S:
            return medik8s.advance(patient, _reference(settings), settings.timeout)
        case Via.CLUSTER_API:
            return machines.advance(patient, settings.timeout)
        case Via.KARPENTER:
            return karpenter.advance(patient, settings.condition, settings.timeout)


def revert(target: Target, owner: str) -> Iterator[Action]:
    """Yield what takes back what *owner* asked for, and the trace of it on the Node."""
    mark = handover.mark_of(target.annotations)
    if mark is None or mark.owner != owner:
        return
    match mark.via:
        case medik8s.VIA:
            yield Withdraw(mark.place, owner)
        case machines.VIA:
            yield machines.withdraw(mark.place, owner)
        case karpenter.VIA:
            yield karpenter.withdraw(target.name, mark.place)
        case _:
            pass
    yield handover.unmark(target.name, target.resource_version)


def applied(target: Target, owner: str) -> bool:
    """Whether *target* was handed over in the name of *owner*."""
    mark = handover.mark_of(target.annotations)
    return mark is not None and mark.owner == owner


def _reference(settings: Replace) -> medik8s.Reference:
    given = settings.template
    return medik8s.Reference(given.api_version, given.kind, given.name, given.namespace)


def _medik8s(name: str) -> tuple[Permission, ...]:
    group, kind = f"{name}-remediation.medik8s.io", f"{name.replace('-', '')}remediation"
    return (
        Permission(group, f"{kind}s", ("get", "create", "patch", "delete")),
        Permission(group, f"{kind}templates", ("get",)),
    )


REMEDIATION = Remediation(
    name="replace",
    summary="Hands the node over to medik8s, Cluster API or Karpenter, to be replaced.",
    disruption=DisruptionLevel.REBOOT,
    settings=Replace,
    needs=(
        *_medik8s("machine-deletion"),
        *_medik8s("self-node"),
        *_medik8s("fence-agents"),
        Permission("cluster.x-k8s.io", "machines", ("get", "patch")),
        Permission("karpenter.sh", "nodeclaims", ("get",)),
        Permission("", "nodes/status", ("patch",)),
    ),
    revert=revert,
    applied=applied,
    procedure=Procedure(
        advance,
        reads=reads,
        settle=lambda settings: settings.verify_within,
        endures=True,
    ),
    flaw=flaw,
    did="NodeHandedOver",
    undid="NodeTakenBack",
)
