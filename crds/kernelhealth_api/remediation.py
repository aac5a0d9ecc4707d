"""What it means to be a remediation: a pure plan of actions on the cluster, and their reverse."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from kernelhealth_api.procedure import PatchNode, Procedure

CORDONED_BY = "kernelhealth.io/cordoned-by"
"""Annotation of a Node that names the NodeRemediation by which it was cordoned."""


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


Action = PatchNode


@dataclass(frozen=True, slots=True)
class Target:
    """As much of a Node as remediations look at.

    *owner* is the NodeRemediation that the node's cordon annotation names, if any. *taken_over*:
    somebody else made the node unschedulable again since.
    """

    name: str
    resource_version: str
    unschedulable: bool
    owner: str | None
    taken_over: bool = False


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


def _no_change(target: Target, owner: str, settings: Any = None) -> tuple[Action, ...]:  # noqa: ARG001
    return ()


@dataclass(frozen=True, slots=True)
class Remediation(Generic[T]):
    """One thing that can be done about a finding: a mark that the node bears, or a procedure.

    *apply* and *revert* yield what is still missing, so that either can be repeated at any time:
    nothing to yield means that it is done. *done* says whether the node is in the wanted state,
    by whomever: once it was and no longer is, a person decided otherwise. *applied* says whether
    the node carries the owner's mark, so that what was done is known even if writing it down
    failed. *did* and *undid* are the reasons of the Events that tell about it. A *procedure* is
    gone through instead of *apply*; what it leaves on the node *revert* takes back in the end.
    """

    name: str
    summary: str
    disruption: DisruptionLevel
    settings: type[T]
    needs: tuple[Permission, ...]
    apply: Callable[[Target, str, T], Iterable[Action]] = _no_change
    revert: Callable[[Target, str], Iterable[Action]] = _no_change
    done: Callable[[Target, str], bool] = _always
    applied: Callable[[Target, str], bool] = _no_trace
    did: str = "RemediationApplied"
    undid: str = "RemediationReverted"
    procedure: Procedure[T] | None = None
