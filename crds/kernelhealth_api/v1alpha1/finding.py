"""A finding: what is wrong with a node, of what, since when, and what would cure it."""

from __future__ import annotations

import enum

from pydantic import Field

from kernelhealth_api.v1alpha1.resource import Resource, Timestamp


class Severity(enum.StrEnum):
    """How much a finding matters to the workloads on the node."""

    INFO = "Info"
    WARNING = "Warning"
    CRITICAL = "Critical"

    @property
    def rank(self) -> int:
        """The place in the order: Info 0, Warning 1, Critical 2."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Subject(Resource):
    """What a finding is about; only what is known is there."""

    namespace: int | None = Field(
        None, description="Inode number of the network namespace, as in net:[4026532178]."
    )
    nsid: int | None = Field(
        None, description="Id of the network namespace in the host's, as ip netns list-id prints."
    )
    interfaces: tuple[str, ...] = Field(
        (), description="Network interfaces concerned.", max_length=8
    )
    addresses: tuple[str, ...] = Field(
        (), description="Addresses found inside the network namespace.", max_length=8
    )
    pod: str | None = Field(None, description="The pod, as namespace/name.")
    pod_uid: str | None = Field(None, description="UID of the pod.")
    pod_known_by: str | None = Field(
        None,
        description="How the pod is known: cgroup, memory, cniCache, address or interfaceName.",
    )
    container: str | None = Field(None, description="Id of the container or sandbox.")
    process: str | None = Field(None, description="The process, as comm[pid].")
    holder: str | None = Field(
        None, description="What keeps it: a process, a mount, a descriptor, a socket, the kernel."
    )
    file: str | None = Field(None, description="The file, with :line where one is to blame.")
    rule: str | None = Field(None, description="The rule, route or setting that is to blame.")
    device: str | None = Field(None, description="The device, as its bus names it.")


class Finding(Resource):
    """One reason with one cause, seen on this node, with all its subjects folded in."""

    reason: str = Field(description="What is wrong, in one word.")
    severity: Severity = Field(description="How much it matters: Info, Warning or Critical.")
    cause: str | None = Field(None, description="Id in the catalogue of causes, where known.")
    subject: Subject = Field(Subject(), description="What it is about; the oldest of several.")
    message: str = Field(description="One sentence that a person can act on.", max_length=1024)
    count: int = Field(1, ge=1, description="How many subjects are folded into this finding.")
    since: Timestamp = Field(description="When it began, or was first seen.")
    value: float | None = Field(None, description="The number that was judged.")
    threshold: float | None = Field(None, description="The number from which on it is Critical.")
    per_hour: float | None = Field(None, description="How fast the number grows.")
    exhaustion: Timestamp | None = Field(
        None, description="When the node runs out, should it grow on like this."
    )
    exhaustion_earliest: Timestamp | None = Field(
        None, description="The early end of the band of confidence around the exhaustion."
    )
    exhaustion_latest: Timestamp | None = Field(
        None, description="The late end of that band; absent where it never runs out then."
    )
    cures: tuple[str, ...] = Field((), description="What would cure it, mildest first.")
