"""ReleaseAddress: gives back the address of a pod that is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from kernelhealth_agent import errors, reexamination
from kernelhealth_agent.attribution import Places
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds import Deed
from kernelhealth_agent.hosts.deeds.leases import PutAway, digest
from kernelhealth_agent.hosts.deeds.pod_rules import DeletePodRule
from kernelhealth_agent.kernel import address_owners, cni_cache, host_local
from kernelhealth_agent.kernel.address_owners import Residue
from kernelhealth_agent.kernel.cni_cache import Attachment
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation

_NAME = "ReleaseAddress"
_LOCK = "lock"
"""What host-local locks in a network's directory (plugins/ipam/host-local/backend/disk/lock.go)."""
_LARGEST = 1 << 18


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield what is left of each sandbox."""
    for observation in observations:
        if _NAME in observation.cures:
            subject = observation.subject
            what = ", ".join(subject.addresses) or f"sandbox {observation.key[:13]}"
            whose = f" of pod {subject.pod}" if subject.pod else ""
            yield Aim(observation.key, f"{what}{whose}", observation)


def objection(places: Places, host: Host, aim: Aim) -> str:
    """Return what speaks for the address: a sandbox, a pod, an interface that has it."""
    now = reexamination.premises(host, aim.observation, places)
    if against := now.uncertainty():
        return against
    found = _residue(address_owners.residues(now.networks), aim)
    if found is None:
        return "nothing keeps it any more, or its sandbox may still be there"
    used = now.networks.used or {}
    taken = next((address for address in found.addresses if address in used), None)
    if taken is not None:
        # Even where nobody is inside: its interface would answer for the next pod's address.
        return f"{taken} is still on an interface in the network namespace {used[taken]}"
    if not _goes_by_itself(found):
        return "only a plugin's own file has it, which has those of other pods as well"
    return ""


def deeds(places: Places, host: Host, aim: Aim) -> Iterator[Deed]:
    """Delete the rules, put results away, and leases last, under their lock.

    For as long as the lease is there nobody else is given the address, whose rules and result would
    be taken for these.
    """
    now = reexamination.premises(host, aim.observation, places)
    found = _residue(address_owners.residues(now.networks), aim)
    if found is None:
        return
    yield from (DeletePodRule(rule) for rule in found.rules)
    for item in filter(_is_alone, found.attachments):
        text = host.read(item.file, _LARGEST)
        if cni_cache.attachment(text, item.file) != item:
            raise errors.UnreadableError(item.file, "it was written anew just now")
        yield PutAway(item.file, digest(text))
    for lease in found.leases:
        text = host.read(lease.file, _LARGEST)
        if host_local.lease(text, lease.file) != lease:
            raise errors.UnreadableError(lease.file, "it was given to another sandbox just now")
        yield PutAway(lease.file, digest(text), _LOCK)


def achieved(places: Places, host: Host, aim: Aim) -> bool:
    """Whether nothing is left of that sandbox that can go by itself."""
    now = reexamination.premises(host, aim.observation, places)
    if against := now.uncertainty():
        raise errors.UnreadableError("var/lib/cni", against)
    found = _residue(address_owners.candidates(now.networks), aim)
    return found is None or not _goes_by_itself(found)


def _goes_by_itself(found: Residue) -> bool:
    """Whether anything is left that is of this sandbox alone."""
    return bool(found.leases or found.rules) or any(map(_is_alone, found.attachments))


def _is_alone(item: Attachment) -> bool:
    """Whether an attachment has a file of its own, as libcni writes it for each."""
    return item.file.rpartition("/")[0] in cni_cache.PLACES


def _residue(every: Iterable[Residue], aim: Aim) -> Residue | None:
    return next((each for each in every if each.key == aim.observation.key), None)


def made(places: Places) -> Fix:
    """Return the fix for a host whose kubelet has its pods at these *places*."""
    looks = partial(objection, places), partial(deeds, places), partial(achieved, places)
    return Fix(_NAME, Stage.RECLAIM, aims, *looks, at=made)


FIX = made(Places())
