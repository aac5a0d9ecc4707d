"""Room for pods on other nodes, by what is requested; a few nodes are looked at, not all.

So what is found is the least that is free. Affinities, volumes and the like are not weighed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from kernelhealth_operator.policy import pods, quantities
from kernelhealth_operator.policy.pods import Pod

LOOKED_AT = 8
"""How many nodes are looked at: each costs a list of its pods."""
_SHUT = frozenset({"NoSchedule", "NoExecute"})


@dataclass(frozen=True, slots=True)
class Room:
    """What is free on a node: thousandths of a processor, bytes, and places for pods."""

    cpu: int
    memory: int
    places: int

    def without(self, pod: Pod) -> Room:
        """Return what is free once *pod* is there; negative: it does not fit."""
        return Room(self.cpu - pod.cpu, self.memory - pod.memory, self.places - 1)

    @property
    def enough(self) -> bool:
        """Whether nothing is promised twice."""
        return min(self.cpu, self.memory, self.places) >= 0


@dataclass(frozen=True, slots=True)
class Capacity:
    """What is free on the nodes that were looked at, and who would find no room there."""

    rooms: tuple[Room, ...]
    homeless: tuple[Pod, ...]

    @property
    def cpu(self) -> int:
        """Thousandths of a processor that are free."""
        return sum(max(0, room.cpu) for room in self.rooms)

    @property
    def memory(self) -> int:
        """Bytes that are free."""
        return sum(max(0, room.memory) for room in self.rooms)


def path(node: str) -> str:
    """Return where some nodes beside *node* are listed that may take pods."""
    fields = f"spec.unschedulable%3Dfalse%2Cmetadata.name%21%3D{node}"
    workers = "%21node-role.kubernetes.io%2Fcontrol-plane"
    return f"/api/v1/nodes?fieldSelector={fields}&labelSelector={workers}&limit={LOOKED_AT}"


def reads(node: str, read: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what has to be read after what was *read*: nodes, then the pods of each."""
    nodes = path(node)
    if nodes not in read:
        return (nodes,)
    return (nodes, *(pods.path(each.metadata.name, exact=False) for each in _open(read[nodes])))


def capacity(node: str, read: Mapping[str, Any], moving: Iterable[Pod]) -> Capacity:
    """Return who of *moving* would find room on the nodes that were *read*, the largest first."""
    rooms = [room for each in _open(read.get(path(node))) if (room := _room(each, read))]
    left, homeless = list(rooms), []
    for pod in sorted(moving, key=lambda each: (-each.cpu, -each.memory)):
        fitting = (index for index, room in enumerate(left) if room.without(pod).enough)
        index = next(fitting, None)
        if index is None:
            homeless.append(pod)
        else:
            left[index] = left[index].without(pod)
    return Capacity(tuple(rooms), tuple(homeless))


class _Metadata(BaseModel):
    name: str
    deleted: str | None = Field(None, alias="deletionTimestamp")


class _Taint(BaseModel):
    effect: str


class _Spec(BaseModel):
    taints: list[_Taint] | None = None


class _Condition(BaseModel):
    type: str
    status: str


class _Status(BaseModel):
    allocatable: dict[str, str] | None = None
    conditions: list[_Condition] | None = None


class _Node(BaseModel):
    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()


class _List(BaseModel):
    items: list[_Node] | None


def _open(body: Any) -> list[_Node]:
    """Return the nodes that take pods; none where the list cannot be read."""
    try:
        listed = _List.model_validate(body or {}).items or []
    except ValidationError:
        return []
    return [
        each
        for each in listed
        if each.metadata.deleted is None
        and not any(taint.effect in _SHUT for taint in each.spec.taints or ())
        and any((one.type, one.status) == ("Ready", "True") for one in each.status.conditions or ())
    ]


def _room(node: _Node, read: Mapping[str, Any]) -> Room | None:
    try:
        there = pods.pods_of(read.get(pods.path(node.metadata.name, exact=False)) or {})
    except ValidationError:
        return None
    whole = node.status.allocatable or {}
    room = Room(
        quantities.amount(whole.get("cpu", "0"), 1000),
        quantities.amount(whole.get("memory", "0"), 1),
        quantities.amount(whole.get("pods", "0"), 1),
    )
    for pod in there:
        room = room if pod.finished else room.without(pod)
    return room
