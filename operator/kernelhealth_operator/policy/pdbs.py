"""PodDisruptionBudgets: which pods they let go at this moment.

The API server decides anew at each eviction; here it is foreseen, to be able to name who forbids.
Source: Create and checkAndDecrement in Kubernetes' pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from kernelhealth_api.v1alpha1.selector import LabelRequirement, LabelSelector
from kernelhealth_operator.policy import select
from kernelhealth_operator.policy.pods import Pod


@dataclass(frozen=True, slots=True)
class Budget:
    """A PodDisruptionBudget; it *allows* so many evictions of healthy pods now.

    *spares_unhealthy*: pods that are not ready may not go either. *selector*: None selects none.
    """

    namespace: str
    name: str
    selector: LabelSelector | None
    allows: int
    spares_unhealthy: bool = True

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def guards(self, pod: Pod) -> bool:
        """Whether *pod* is one of those that it is about."""
        if self.selector is None or self.namespace != pod.namespace:
            return False
        return select.selects(self.selector, pod.labels)


@dataclass(frozen=True, slots=True)
class Cleared:
    """Which pods may go at once, and which may not, with the budgets that are in their way."""

    free: tuple[Pod, ...]
    blocked: tuple[tuple[Pod, tuple[Budget, ...]], ...]


def path(namespace: str) -> str:
    """Return where the budgets of *namespace* are listed."""
    return f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"


def budgets_of(body: Mapping[str, Any]) -> tuple[Budget, ...]:
    """Return the budgets in a policy/v1 list; raises ``pydantic.ValidationError``."""
    return tuple(_budget(each) for each in _List.model_validate(body).items or ())


def clear(pods: Iterable[Pod], budgets: Iterable[Budget]) -> Cleared:
    """Return which of *pods* may go, in their order: each takes what room its budget has left."""
    known = tuple(budgets)
    left = {str(one): one.allows for one in known}
    free, blocked = [], []
    for pod in pods:
        guards = () if pod.unguarded else tuple(one for one in known if one.guards(pod))
        # Where there are two for one pod the API server refuses whatever they allow.
        alone = len(guards) == 1
        in_the_way = tuple(one for one in guards if not (alone and _lets(one, pod, left)))
        if in_the_way:
            blocked.append((pod, in_the_way))
        else:
            free.append(pod)
    return Cleared(tuple(free), tuple(blocked))


def _lets(budget: Budget, pod: Pod, left: dict[str, int]) -> bool:
    if not pod.ready and not budget.spares_unhealthy:
        return True
    if left[str(budget)] <= 0:
        return False
    left[str(budget)] -= 1
    return True


class _Requirement(BaseModel):
    key: str
    operator: str
    values: list[str] | None = None


class _Selector(BaseModel):
    labels: dict[str, str] | None = Field(None, alias="matchLabels")
    expressions: list[_Requirement] | None = Field(None, alias="matchExpressions")


class _Metadata(BaseModel):
    namespace: str
    name: str
    generation: int = 0


class _Spec(BaseModel):
    selector: _Selector | None = None
    unhealthy: str | None = Field(None, alias="unhealthyPodEvictionPolicy")


class _Status(BaseModel):
    observed: int = Field(0, alias="observedGeneration")
    allowed: int = Field(0, alias="disruptionsAllowed")
    current: int = Field(0, alias="currentHealthy")
    desired: int = Field(0, alias="desiredHealthy")


class _Budget(BaseModel):
    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = Field(default_factory=_Status)


class _List(BaseModel):
    items: list[_Budget] | None


def _budget(sent: _Budget) -> Budget:
    metadata, status = sent.metadata, sent.status
    # While the application has what it needs, pods that are not ready take nothing from it.
    sound = status.current >= status.desired > 0
    return Budget(
        namespace=metadata.namespace,
        name=metadata.name,
        selector=_selector(sent.spec.selector),
        allows=status.allowed if status.observed >= metadata.generation else 0,
        spares_unhealthy=sent.spec.unhealthy != "AlwaysAllow" and not sound,
    )


def _selector(sent: _Selector | None) -> LabelSelector | None:
    if sent is None:
        return None
    # Not validated by our own limits, which say nothing about budgets.
    return LabelSelector.model_construct(
        match_labels=sent.labels or {},
        match_expressions=tuple(
            LabelRequirement.model_construct(
                key=each.key, operator=each.operator, values=tuple(each.values or ())
            )
            for each in sent.expressions or ()
        ),
    )
