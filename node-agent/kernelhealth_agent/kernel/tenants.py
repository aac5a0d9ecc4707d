"""Processes and pods that have something, in words and as the subject of an observation."""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_agent.kernel import cgroups, naming
from kernelhealth_agent.kernel.namespaces import Inventory, Pod
from kernelhealth_api.v1alpha1.finding import Subject


@dataclass(frozen=True, slots=True)
class Tenant:
    """A process as comm[pid], and its pod; without a process the pod as a whole."""

    process: str | None
    pod: Pod | None = None

    @property
    def title(self) -> str:
        """The process and the pod in words, short enough for a sentence."""
        pod = None if self.pod is None else f"pod {self.pod.title}"
        return " of ".join(part for part in (self.process, pod) if part)


def tenant(pid: int, comm: bytes, cgroup: bytes, inventory: Inventory) -> Tenant:
    """Return a process by /proc/PID/comm and /proc/PID/cgroup, with its pod where it has one."""
    name = naming.short(comm.decode(errors="replace").strip())
    found = cgroups.pod(cgroup)
    return Tenant(f"{name}[{pid}]", None if found is None else inventory.pods.get(found[0]))


def subject(found: Tenant | None, holder: str | None = None, rule: str | None = None) -> Subject:
    """Return the subject that a tenant is; None for nobody."""
    pod = None if found is None else found.pod
    return Subject(
        pod=None if pod is None or not pod.name else pod.title,
        pod_uid=None if pod is None else pod.uid,
        pod_known_by=None if pod is None else pod.known_by,
        process=None if found is None else found.process,
        holder=holder,
        rule=rule,
    )
