"""What a node's CNI plugins built for its pods, and what of it belongs to a pod that lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kernelhealth_agent.kernel import sandboxes
from kernelhealth_agent.kernel.cni_cache import Attachment
from kernelhealth_agent.kernel.host_local import Lease
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace, Pod
from kernelhealth_agent.kernel.network_functions import LostFunction
from kernelhealth_agent.kernel.routing import HostRoute, Rule


@dataclass(frozen=True, slots=True)
class PodNetworks:
    """One look at what is left of pods' networks.

    *sandboxes* are the ids of living containers, None where no list could be had: then nothing is
    claimed that rests on it. *used* are the addresses on interfaces with the inode number of their
    namespace; None where they were not asked for, or not all could be had. *dangling* are files in
    place of namespaces, *lost* network functions whose interface is out of reach. *blind* says
    what could not be looked at, a sentence each; *doubts* are those of them that might speak for
    a pod.
    """

    inventory: Inventory
    sandboxes: frozenset[str] | None
    attachments: tuple[Attachment, ...] = ()
    leases: tuple[Lease, ...] = ()
    rules: tuple[Rule, ...] = ()
    routes: tuple[HostRoute, ...] = ()
    used: Mapping[str, int] | None = None
    dangling: tuple[str, ...] = ()
    lost: tuple[LostFunction, ...] = ()
    blind: tuple[str, ...] = field(default=())
    doubts: tuple[str, ...] = ()

    def lives(self, sandbox: str) -> bool:
        """Whether a sandbox lives; where that is not known, it does."""
        return self.sandboxes is None or sandboxes.bare(sandbox) in self.sandboxes

    def has_pod(self, pod: Pod) -> bool:
        """Whether the kubelet still has a pod, or one that may be it."""
        pods = self.inventory.pods
        if not self.inventory.pods_known:
            return True
        if pod.uid is not None:
            return pod.uid in pods
        # Of a pod without a log directory the kubelet's directories tell the UID only.
        names = {(p.namespace, p.name) for p in pods.values() if p.name}
        nameless = any(not p.name for p in pods.values())
        return nameless or (pod.namespace, pod.name) in names


def waits(item: Attachment, sample: PodNetworks, spaces: Mapping[str, Namespace]) -> bool:
    """Whether the pod of a sandbox lives and has no other that does; *spaces* by file.

    CRI-O (drop_infra_ctr) has no process in a sandbox before the first container starts, and none
    between two starts of one that fails. After a boot all pods wait for the kubelet to replace
    their sandboxes, the last of them for many minutes.
    """
    if item.pod is None:
        return False
    pods = sample.inventory.pods.values()
    if sample.inventory.pods_known and all((p.namespace, p.name) != item.pod for p in pods):
        return False
    return not any(
        other.pod == item.pod and other.sandbox != item.sandbox and _lives(other, sample, spaces)
        for other in sample.attachments
    )


def _lives(item: Attachment, sample: PodNetworks, spaces: Mapping[str, Namespace]) -> bool:
    space = spaces.get(plain(item.netns)) if item.netns else None
    return sample.lives(item.sandbox) or (space is not None and space.processes > 0)


def mounted(inventory: Inventory) -> dict[str, Namespace]:
    """Return the reachable namespaces by the paths of their files, as the CNI spells them."""
    return {
        plain(mount.path): space
        for space in (inventory.host, *inventory.namespaces.values())
        for mount in space.mounts
    }


def plain(path: str) -> str:
    """Return a path below the root, with ``/var/run`` as what it is a link to."""
    path = path.lstrip("/")
    return path.removeprefix("var/") if path.startswith("var/run/") else path
