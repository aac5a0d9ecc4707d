"""What it means to be a remediation: a pure plan of actions on the cluster, and their reverse."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from kernelhealth_api.procedure import PatchNode, PatchStatus, Procedure, Withdraw
from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec

CORDONED_BY = "kernelhealth.io/cordoned-by"
"""Annotation of a Node that names the NodeRemediation by which it was cordoned."""


TAINTED_BY = "kernelhealth.io/tainted-by"
"""Annotation of a Node that names the NodeRemediation by which it was tainted."""


PREPARED_BY = "kernelhealth.io/prepared-for-reboot-by"
"""Annotation of a Node that names the NodeRemediation that is about to reboot it, and after a space
each the labels and annotations that were put on the Node for that."""


HANDED_OVER_BY = "kernelhealth.io/handed-over-by"
"""Annotation of a Node that names the NodeRemediation by which another project was asked to replace
it, and after a space each how far that has come, the project, and what it was asked at."""
REQUESTED_BY = "kernelhealth.io/requested-by"
"""Annotation of an object of another project: the NodeRemediation by which it was asked for."""


def marked_by(annotations: Mapping[str, str]) -> str | None:
    """Return the NodeRemediation whose mark a Node with *annotations* bears, if it bears one."""
    marks = (CORDONED_BY, TAINTED_BY, PREPARED_BY, HANDED_OVER_BY)
    found = (annotations.get(mark, "").partition(" ")[0] for mark in marks)
    return next((owner for owner in found if owner), None)


def prepared_by(annotations: Mapping[str, str]) -> str | None:
    """Return the NodeRemediation by which a Node with *annotations* was prepared for a reboot."""
    return annotations.get(PREPARED_BY, "").partition(" ")[0] or None


class DisruptionLevel(enum.IntEnum):
    """What a remediation costs the workloads, least first."""

    NONE = 0
    SCHEDULING = 1
    EVICTION = 2
    REBOOT = 3


@dataclass(frozen=True, slots=True)
class Permission:
    """One line of RBAC that a remediation needs."""

    group: str
    resource: str
    verbs: tuple[str, ...]


Action = PatchNode | PatchStatus | Withdraw


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a Node, whole; *time_added* is as it was sent, empty where it was not."""

    key: str
    value: str
    effect: str
    time_added: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """As much of a Node as remediations look at.

    *owner* is the NodeRemediation that the node's cordon annotation names, if any. *taken_over*:
    somebody else made the node unschedulable again since. *tainted_by* is the NodeRemediation that
    the taint annotation names. *reason* is the first of those that are treated, where known.
    """

    name: str
    resource_version: str
    unschedulable: bool
    owner: str | None
    taken_over: bool = False
    taints: tuple[Taint, ...] = ()
    tainted_by: str | None = None
    reason: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


class Settings(BaseModel):
    """The parameters of one remediation in a policy; subclasses add fields with defaults."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


T = TypeVar("T", bound=Settings)


def _no_trace(target: Target, owner: str) -> bool:  # noqa: ARG001
    return False


def _always(target: Target, owner: str) -> bool:  # noqa: ARG001
    return True


def _no_change(target: Target, owner: str, settings: Any = None) -> tuple[Any, ...]:  # noqa: ARG001
    return ()


def _no_flaw(settings: Any, policy: KernelHealthPolicySpec) -> str | None:  # noqa: ARG001
    return None


@dataclass(frozen=True, slots=True)
class Remediation(Generic[T]):
    """One thing that can be done about a finding: a mark that the node bears, or a procedure.

    *apply* and *revert* yield what is still missing, so that either can be repeated at any time:
    nothing to yield means that it is done. *done* says whether the node is in the wanted state,
    by whomever: once it was and no longer is, a person decided otherwise. *applied* says whether
    the node carries the owner's mark, so that what was done is known even if writing it down
    failed. *did* and *undid* are the reasons of the Events that tell about it. A *procedure* is
    gone through instead of *apply*; what it leaves on the node *revert* takes back in the end.
    *flaw* says what is wrong with such parameters in a policy, though each is fine by itself.
    """

    name: str
    summary: str
    disruption: DisruptionLevel
    settings: type[T]
    needs: tuple[Permission, ...]
    apply: Callable[[Target, str, T], Iterable[PatchNode]] = _no_change
    revert: Callable[[Target, str], Iterable[Action]] = _no_change
    done: Callable[[Target, str], bool] = _always
    applied: Callable[[Target, str], bool] = _no_trace
    did: str = "RemediationApplied"
    undid: str = "RemediationReverted"
    procedure: Procedure[T] | None = None
    flaw: Callable[[T, KernelHealthPolicySpec], str | None] = _no_flaw
