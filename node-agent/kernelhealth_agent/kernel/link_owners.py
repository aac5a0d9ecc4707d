"""Whose the links of the host are, and which of them outlived their pod.

A link is claimed only with proof that it was a pod's: the namespace of its other end was, the CNI
result cache names it, or its name is one that a CNI plugin makes. Everything else (a person's veth,
another runtime's, a virtual machine's tap) is let alone, but for a link into a namespace that
nothing reaches: whoever made that one, nobody can use it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kernelhealth_agent.kernel import interface_names
from kernelhealth_agent.kernel.namespaces import Namespace, Pod
from kernelhealth_agent.kernel.pod_networks import PodNetworks, mounted, plain, waits
from kernelhealth_agent.kernel.rtnetlink import Link

KINDS = frozenset({"veth", "netkit", "macvlan", "macvtap", "ipvlan", "ipvtap"})
_RUNTIME_FILE = "run/netns/cni-"


class Peer(enum.Enum):
    """Where the other end of a link is: in the host, in an idle namespace, or out of reach."""

    HOST = "host"
    IDLE = "idle"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class ResidualLink:
    """A link whose pod is gone; *space* is the idle namespace of its other end.

    *evidence* says how it is known that it was a pod's; that it is not known is possible only
    where the other end is out of reach.
    """

    link: Link
    peer: Peer
    evidence: str | None = None
    pod: Pod | None = None
    sandbox: str | None = None
    space: Namespace | None = None
    addresses: tuple[str, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether the link was a pod's."""
        return self.evidence is not None


@dataclass(frozen=True, slots=True)
class _Claim:
    """Who a link was made for, and how that is known."""

    evidence: str
    pod: Pod | None = None
    sandbox: str | None = None


def residual_links(sample: PodNetworks) -> list[ResidualLink]:
    """Return the links of the host that outlived their pod, in the order of the kernel's list."""
    far = list(_without_company(sample))
    if not far:
        return []
    owners = _Owners(sample)
    found = []
    for link, peer, space in far:
        claim = owners.claim(link, space)
        if peer is not Peer.LOST and (claim is None or owners.alive(claim, space)):
            continue
        addresses = tuple(r.address for r in sample.routes if r.index == link.index)
        left = ResidualLink(link, peer, space=space, addresses=addresses)
        if claim is not None:
            left = replace(left, evidence=claim.evidence, pod=claim.pod, sandbox=claim.sandbox)
        found.append(left)
    return found


def _without_company(sample: PodNetworks) -> Iterator[tuple[Link, Peer, Namespace | None]]:
    """Yield the links of kinds that pods get, without those whose other end has processes.

    An id that came into being during the look, or that the kernel did not give, says nothing.
    """
    inventory = sample.inventory
    by_nsid = {n.nsid: n for n in inventory.namespaces.values() if n.nsid is not None}
    for link in inventory.links:
        nsid = link.peer_nsid
        if link.kind not in KINDS:
            continue
        if nsid is None or nsid == inventory.host.nsid:
            yield link, Peer.HOST, None
        elif nsid in by_nsid:
            if not by_nsid[nsid].processes:
                yield link, Peer.IDLE, by_nsid[nsid]
        elif nsid in inventory.nsids:
            yield link, Peer.LOST, None


class _Owners:
    """All that can tell whose a link is; made once for all links of a look."""

    def __init__(self, sample: PodNetworks) -> None:
        self._sample = sample
        past = sample.inventory.memory.values()
        self._memory = {m.nsid: m for m in past if m.nsid is not None}
        self._attached = {name: a for a in sample.attachments for name in a.host_links}
        # A name that is given to a sandbox that lives belongs to that one.
        self._attached |= {
            name: a for a in sample.attachments if sample.lives(a.sandbox) for name in a.host_links
        }
        pods = {(p.namespace, p.name) for p in sample.inventory.pods.values() if p.name}
        pods |= {(m.pod.namespace, m.pod.name) for m in past if m.pod.name}
        pods |= {a.pod for a in sample.attachments if a.pod}
        self._digits = interface_names.by_digits(pods)
        known = {a.sandbox for a in sample.attachments} | {m.sandbox for m in past if m.sandbox}
        self._sandboxes = interface_names.by_sandbox(known | (sample.sandboxes or frozenset()))
        self._spaces = mounted(sample.inventory)
        self._paths = {plain(a.netns): a for a in sample.attachments if a.netns}

    def claim(self, link: Link, space: Namespace | None) -> _Claim | None:
        """Return who a link was made for; None where nothing proves that it was made for a pod."""
        return (
            self._by_cache(link)
            or self._by_namespace(link, space)
            or self._by_name(link)
            or self._by_file(space)
        )

    def _by_cache(self, link: Link) -> _Claim | None:
        found = self._attached.get(link.name)
        # A bridge is among the host's links of each of its pods, but is no pod's.
        if found is None:
            return None
        pod = None if found.pod is None else Pod(*found.pod, uid=None, known_by="cniCache")
        return _Claim(
            f"the CNI result of sandbox {found.sandbox[:13]} names it", pod, found.sandbox
        )

    def _by_namespace(self, link: Link, space: Namespace | None) -> _Claim | None:
        evidence = "its other end was that pod's"
        if space is not None:
            return _Claim(evidence, space.pod, space.sandbox) if space.pod else None
        past = None if link.peer_nsid is None else self._memory.get(link.peer_nsid)
        if past is None:
            return None
        return _Claim(evidence, replace(past.pod, known_by="memory"), past.sandbox)

    def _by_name(self, link: Link) -> _Claim | None:
        pod = interface_names.hashed_pod(link.name, self._digits)
        if pod is not None:
            known = Pod(*pod, uid=None, known_by="interfaceName")
            return _Claim("its name is the hash of that pod's", known)
        if link.name in self._sandboxes:
            return _Claim("its name is made of that sandbox's", None, self._sandboxes[link.name])
        plugin = interface_names.plugin(link.name)
        return None if plugin is None else _Claim(f"its name is one that {plugin} makes")

    def _by_file(self, space: Namespace | None) -> _Claim | None:
        for mount in space.mounts if space else ():
            path = plain(mount.path)
            if path in self._paths:
                found = self._paths[path]
                pod = None if found.pod is None else Pod(*found.pod, uid=None, known_by="cniCache")
                return _Claim(f"the CNI result of that sandbox names /{path}", pod, found.sandbox)
            if path.startswith(_RUNTIME_FILE):
                return _Claim(f"/{path} is a container runtime's")
        return None

    def alive(self, claim: _Claim, space: Namespace | None) -> bool:
        """Whether the pod may still live; without a list of sandboxes every pod may."""
        sample = self._sample
        if sample.sandboxes is None:
            return True
        for mount in space.mounts if space else ():
            attached = self._paths.get(plain(mount.path))
            if attached is None:
                continue
            if sample.lives(attached.sandbox) or waits(attached, sample, self._spaces):
                return True
        if claim.sandbox is not None:
            return sample.lives(claim.sandbox)
        if claim.pod is not None:
            return sample.has_pod(claim.pod)
        # A pod whose name is unknown could be the one that a hashed name stands for.
        return any(not pod.name for pod in sample.inventory.pods.values())
