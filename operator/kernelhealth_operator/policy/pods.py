"""The pods of one node, as far as it matters whether and how they leave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from kernelhealth_operator.policy import quantities

MIRROR = "kubernetes.io/config.mirror"
"""Annotation of a pod that only shows what a kubelet runs by itself."""
_FINISHED = frozenset({"Succeeded", "Failed"})
_DAEMON_SET = ("apps/v1", "DaemonSet")


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod; *cpu* is what it requests in thousandths of a processor, *memory* in bytes.

    *controlled*: somebody makes it anew. *scratch*: it has an emptyDir, which goes with it.
    """

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    phase: str = "Running"
    ready: bool = True
    priority: int = 0
    leaving: bool = False
    mirror: bool = False
    daemon: bool = False
    controlled: bool = True
    scratch: bool = False
    cpu: int = 0
    memory: int = 0

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def finished(self) -> bool:
        """Whether it runs no more, and holds nothing that could be lost."""
        return self.phase in _FINISHED

    @property
    def unguarded(self) -> bool:
        """Whether no PodDisruptionBudget is asked: it has ended, is ending or never began.

        Source: canIgnorePDB in Kubernetes' pkg/registry/core/pod/storage/eviction.go.
        """
        return self.finished or self.leaving or self.phase == "Pending"


def path(node: str, *, exact: bool) -> str:
    """Return where the pods of *node* are listed.

    Not *exact*: from what the API server holds in memory, which may be a moment old and costs it
    O(pods of the node); the other way older API servers read all pods of the cluster.
    """
    old = "" if exact else "&resourceVersion=0"
    return f"/api/v1/pods?fieldSelector=spec.nodeName%3D{node}{old}"


def pods_of(body: Mapping[str, Any]) -> tuple[Pod, ...]:
    """Return the pods in a v1 PodList; raises ``pydantic.ValidationError``."""
    return tuple(_pod(each) for each in _List.model_validate(body).items or ())


class _Owner(BaseModel):
    version: str = Field("", alias="apiVersion")
    kind: str = ""
    controller: bool | None = None


class _Metadata(BaseModel):
    namespace: str
    name: str
    uid: str
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owners: list[_Owner] | None = Field(None, alias="ownerReferences")
    deleted: datetime | None = Field(None, alias="deletionTimestamp")


class _Resources(BaseModel):
    requests: dict[str, str] | None = None


class _Container(BaseModel):
    resources: _Resources = _Resources()
    restart: str | None = Field(None, alias="restartPolicy")


class _Volume(BaseModel):
    scratch: dict[str, Any] | None = Field(None, alias="emptyDir")


class _Spec(BaseModel):
    volumes: list[_Volume] | None = None
    containers: list[_Container] | None = None
    before: list[_Container] | None = Field(None, alias="initContainers")
    overhead: dict[str, str] | None = None
    priority: int | None = None


class _Condition(BaseModel):
    type: str
    status: str


class _Status(BaseModel):
    phase: str = ""
    conditions: list[_Condition] | None = None


class _Pod(BaseModel):
    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()


class _List(BaseModel):
    items: list[_Pod] | None


def _pod(sent: _Pod) -> Pod:
    metadata, spec, status = sent.metadata, sent.spec, sent.status
    controller = next((one for one in metadata.owners or () if one.controller), None)
    ready = (one.status == "True" for one in status.conditions or () if one.type == "Ready")
    return Pod(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        labels=metadata.labels or {},
        phase=status.phase,
        ready=next(ready, False),
        priority=spec.priority or 0,
        leaving=metadata.deleted is not None,
        mirror=MIRROR in (metadata.annotations or {}),
        daemon=controller is not None and (controller.version, controller.kind) == _DAEMON_SET,
        controlled=controller is not None,
        scratch=any(volume.scratch is not None for volume in spec.volumes or ()),
        cpu=_requested(spec, "cpu", 1000),
        memory=_requested(spec, "memory", 1),
    )


def _requested(spec: _Spec, resource: Literal["cpu", "memory"], unit: int) -> int:
    """Return what a pod has set aside for it: of those that run at once the sum, else the most.

    Source: PodRequests in Kubernetes' staging/src/k8s.io/component-helpers/resource/helpers.go.
    """

    def of(container: _Container) -> int:
        return quantities.amount((container.resources.requests or {}).get(resource, "0"), unit)

    beside = most = 0
    for container in spec.before or ():
        if container.restart == "Always":
            beside += of(container)
            most = max(most, beside)
        else:
            most = max(most, beside + of(container))
    running = beside + sum(of(container) for container in spec.containers or ())
    return max(running, most) + quantities.amount((spec.overhead or {}).get(resource, "0"), unit)
