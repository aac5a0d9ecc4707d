"""How the pods' leaving is told: what would come of it, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterable

from kernelhealth_api.procedure import Patient
from kernelhealth_api.v1alpha1.noderemediation import Preview
from kernelhealth_operator.policy import capacity, leaving, quantities
from kernelhealth_operator.policy.capacity import Capacity
from kernelhealth_operator.policy.leaving import Household, NotReadError, listed
from kernelhealth_operator.policy.pdbs import Cleared

_MOST = 64


def preview(patient: Patient) -> Preview:
    """Return what would come of emptying the node now."""
    try:
        found = leaving.household(patient.name, patient.read)
        pods = leaving.cleared(found, patient.read)
    except NotReadError as error:
        return Preview(as_of=patient.now, message=f"Nothing can be foreseen: {error}"[:2048])
    moving = (*found.ending, *found.waiting)
    homes = [pod for pod in found.waiting if pod.controlled and not pod.finished]
    room = capacity.capacity(patient.name, patient.read, homes)
    return Preview(
        as_of=patient.now,
        message=_sentence(found, pods, room),
        pods=len(moving),
        names=_names(moving),
        staying=len(found.staying),
        forbidden_by=_names(sorted({str(one) for _, all_of in pods.blocked for one in all_of})),
        local_data=_names(found.scratch()),
        uncontrolled=_names(found.uncontrolled()),
        cpu=quantities.of_cpu(sum(pod.cpu for pod in moving if not pod.finished)),
        memory=quantities.of_memory(sum(pod.memory for pod in moving if not pod.finished)),
        without_room=_names(room.homeless),
        nodes_looked_at=len(room.rooms),
        free_cpu=quantities.of_cpu(room.cpu),
        free_memory=quantities.of_memory(room.memory),
        nodes_available=patient.others_available,
    )


def progress(found: Household) -> str:
    """Return who is on the way, and how many are to follow."""
    ending = f"{listed(found.ending)} are ending" if found.ending else "none has gone yet"
    return f"{ending}, {len(found.waiting)} pods are to follow"


def blocked(pods: Cleared) -> str:
    """Return which budgets do not let which pods go."""
    budgets = dict.fromkeys(str(one) for _, all_of in pods.blocked for one in all_of)
    several = [pod for pod, all_of in pods.blocked if len(all_of) > 1]
    which = "forbids" if len(budgets) == 1 else "forbid"
    said = f"PodDisruptionBudget {listed(budgets)} {which} to evict "
    said += listed(pod for pod, _ in pods.blocked)
    if several:
        said += f" (the Eviction API refuses {listed(several)} for having more than one budget)"
    return said


def _sentence(found: Household, pods: Cleared, room: Capacity) -> str:
    moving = len(found.ending) + len(found.waiting)
    parts = [f"{moving} pods would have to go"]
    if pods.blocked:
        parts.append(f"at present {blocked(pods)}")
    if lost := found.scratch():
        parts.append(f"the emptyDir volumes of {listed(lost)} would be lost")
    if orphans := found.uncontrolled():
        parts.append(f"nobody would make {listed(orphans)} anew")
    if room.homeless:
        where = f"of {len(room.rooms)} other nodes that were looked at none has room for"
        parts.append(f"{where} {listed(room.homeless)}")
    return ("; ".join(parts) + ".")[:2048]


def _names(things: Iterable[object]) -> tuple[str, ...]:
    return tuple(str(each) for each in things)[:_MOST]
