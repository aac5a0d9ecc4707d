"""Which leases, CNI results and policy rules outlived the sandbox that they were made for.

One residue is all that is left of one sandbox. It is claimed only when the sandbox is not among
the living ones and its pod does not wait for the kubelet to replace it; and unless the CNI result
proves that it was a Kubernetes pod's, for which that list is complete, only when no interface of
any namespace has one of its addresses: other runtimes use the same directories for containers that
are on no such list.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from kernelhealth_agent.kernel.cni_cache import Attachment
from kernelhealth_agent.kernel.host_local import Lease
from kernelhealth_agent.kernel.namespaces import Namespace, Pod
from kernelhealth_agent.kernel.pod_networks import PodNetworks, mounted, plain, waits
from kernelhealth_agent.kernel.routing import MAIN_TABLE, Rule

_T = TypeVar("_T", Attachment, Lease)
_TO_POD = frozenset({20, 512})
_FROM_POD = frozenset({110, 111, 1536, 2048})
"""Priorities of the rules that lead to and from a pod: 512 and 1536 AWS VPC CNI (pkg/networkutils)
and CCE, 512 and 2048 Terway (plugin/datapath), 20 and 110 or 111 Cilium (pkg/datapath/linux)."""


@dataclass(frozen=True, slots=True)
class Residue:
    """What is left of one sandbox, or of one address that no sandbox is known for."""

    key: str
    sandbox: str | None = None
    pod: Pod | None = None
    leases: tuple[Lease, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    rules: tuple[Rule, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses, in order."""
        found = {lease.address for lease in self.leases}
        found |= {address for item in self.attachments for address in item.addresses}
        found |= {address for rule in self.rules if (address := pod_address(rule))}
        return tuple(sorted(found, key=lambda text: (":" in text, ipaddress.ip_address(text))))

    @property
    def deletable(self) -> bool:
        """Whether something is left that can go by itself, and not only in a plugin's own file."""
        return bool(self.leases or self.rules) or not all(x.shared for x in self.attachments)

    @property
    def rules_only(self) -> bool:
        """Whether nothing but policy rules is left."""
        return not self.leases and not self.attachments

    @property
    def proven(self) -> bool:
        """Whether a CNI result says that it was a Kubernetes pod's."""
        return any(item.pod for item in self.attachments)


def residues(sample: PodNetworks) -> list[Residue]:
    """Return what outlived its sandbox; without the addresses in use, only what needs none."""
    spaces = mounted(sample.inventory)
    return [found for found in candidates(sample) if _is_claimed(found, sample, spaces)]


def needs_addresses(sample: PodNetworks) -> bool:
    """Whether there is anything that only the addresses in use can tell."""
    return any(not residue.proven for residue in candidates(sample))


def candidates(sample: PodNetworks) -> list[Residue]:
    """Return what belongs to no living sandbox, ordered by key."""
    if sample.sandboxes is None:
        return []
    found: dict[str, Residue] = {}
    for item in _dead(sample, sample.attachments):
        known = found.get(item.sandbox, Residue(item.sandbox, item.sandbox, _pod(item)))
        found[item.sandbox] = replace(
            known, pod=known.pod or _pod(item), attachments=(*known.attachments, item)
        )
    for lease in _dead(sample, sample.leases):
        key = lease.sandbox or lease.address
        known = found.get(key, Residue(key, lease.sandbox or None))
        found[key] = replace(known, leases=(*known.leases, lease))
    owners = {address: key for key, residue in found.items() for address in residue.addresses}
    for address, rule in _strays(sample):
        key = owners.get(address, address)
        known = found.get(key, Residue(key))
        found[key] = replace(known, rules=(*known.rules, rule))
    return [_remembered(found[key], sample) for key in sorted(found)]


def _dead(sample: PodNetworks, items: Iterable[_T]) -> Iterator[_T]:
    return (item for item in items if not sample.lives(item.sandbox))


def _pod(item: Attachment) -> Pod | None:
    return None if item.pod is None else Pod(*item.pod, uid=None, known_by="cniCache")


def _strays(sample: PodNetworks) -> Iterator[tuple[str, Rule]]:
    """Yield the rules of pods, with the address, that no living sandbox has."""
    alive = {a for i in sample.attachments if sample.lives(i.sandbox) for a in i.addresses}
    alive |= {lease.address for lease in sample.leases if sample.lives(lease.sandbox)}
    for rule in sample.rules:
        address = pod_address(rule)
        if address is not None and address not in alive:
            yield address, rule


def pod_address(rule: Rule) -> str | None:
    """Return the pod's address in a rule of the form that CNI plugins make for each pod."""
    if rule.priority in _TO_POD and rule.table == MAIN_TABLE and rule.source is None:
        return rule.destination
    if rule.priority in _FROM_POD and rule.table != MAIN_TABLE and rule.destination is None:
        return rule.source
    return None


def _remembered(residue: Residue, sample: PodNetworks) -> Residue:
    if residue.pod is not None or residue.sandbox is None:
        return residue
    for past in sample.inventory.memory.values():
        if past.sandbox == residue.sandbox:
            return replace(residue, pod=replace(past.pod, known_by="memory"))
    return residue


def _is_claimed(residue: Residue, sample: PodNetworks, spaces: Mapping[str, Namespace]) -> bool:
    """Whether nothing speaks for the sandbox; *spaces* are the namespaces by their files."""
    for item in residue.attachments:
        space = spaces.get(plain(item.netns)) if item.netns else None
        if (space is not None and space.processes) or waits(item, sample, spaces):
            return False
    if residue.proven:
        return True
    if sample.used is None or (residue.rules_only and not _is_customary(residue, sample)):
        return False
    return not any(address in sample.used for address in residue.addresses)


def _is_customary(residue: Residue, sample: PodNetworks) -> bool:
    """Whether rules alone are a plugin's: a pair, to and from, or as those of pods that live.

    A person has rules as well: ``to 192.0.2.7 lookup main`` keeps the way to a VPN's server free.
    """
    if len({rule.priority in _TO_POD for rule in residue.rules}) == 2:
        return True
    used = sample.used or {}
    customs = {rule.priority for rule in sample.rules if pod_address(rule) in used}
    return any(rule.priority in customs for rule in residue.rules)


def leased(sample: PodNetworks) -> dict[str, int]:
    """Return how many addresses each network of host-local has given away."""
    found: dict[str, int] = {}
    for lease in sample.leases:
        found[lease.network] = found.get(lease.network, 0) + 1
    return found


def pools(sample: PodNetworks) -> dict[str, int]:
    """Return how many addresses each network can give away, where its configuration is known."""
    return {item.network: item.pool for item in sample.attachments if item.pool}
