"""DeleteResidualLink: deletes a link of the host that was made for a pod which is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from kernelhealth_agent import reexamination
from kernelhealth_agent.attribution import Places
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds import Deed
from kernelhealth_agent.hosts.deeds.links import DeleteLink
from kernelhealth_agent.kernel import link_owners, rtnetlink
from kernelhealth_agent.kernel.link_owners import Peer, ResidualLink
from kernelhealth_agent.kernel.rtnetlink import Link
from kernelhealth_agent.reexamination import Premises
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation

_NAME = "DeleteResidualLink"
_KEYS = ("index", "name", "mac")


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield each link."""
    for observation in observations:
        if _NAME in observation.cures:
            names = ", ".join(observation.subject.interfaces)
            yield Aim(observation.key, f"link {names or observation.key}", observation)


def objection(places: Places, host: Host, aim: Aim) -> str:
    """Return what speaks for the link: a namespace in use, a pod, a lack of proof."""
    lacking = reexamination.missing(aim.observation, *_KEYS)
    if lacking:
        return lacking
    now = reexamination.premises(host, aim.observation, places)
    if not any(_is_meant(link, aim.observation) for link in now.inventory.links):
        return "there is no such link any more"
    if against := now.uncertainty():
        return against
    every = link_owners.residual_links(now.networks)
    found = next((each for each in every if _is_meant(each.link, aim.observation)), None)
    if found is None:
        return "its other end is in use, or its pod may still be there"
    return _doubt(found, now)


def _doubt(found: ResidualLink, now: Premises) -> str:
    if found.peer is Peer.LOST:
        return "its other end is in a namespace that nothing leads to, so that it may be in use"
    if not found.proven:
        return "nothing proves that it was made for a pod"
    if found.space is not None and (claimant := now.claimant(found.space)):
        return claimant
    living = {
        address
        for item in now.networks.attachments
        if now.networks.lives(item.sandbox)
        for address in item.addresses
    }
    used = sorted(living.intersection(found.addresses))
    return f"{used[0]}, the address of a container that lives, is routed to it" if used else ""


def deeds(host: Host, aim: Aim) -> Iterator[Deed]:  # noqa: ARG001 - The deed looks by itself.
    """Delete that very link."""
    index, name, mac = _identity(aim.observation)
    yield DeleteLink(index, name, mac)


def achieved(host: Host, aim: Aim) -> bool:
    """Whether the link is gone."""
    request = rtnetlink.links_request()
    every = rtnetlink.links(host.dump(request), f"netlink {request.name}")
    return not any(_is_meant(link, aim.observation) for link in every)


def _identity(observation: Observation) -> tuple[int, str, str]:
    return (
        reexamination.number(observation, "index") or 0,
        reexamination.text(observation, "name") or "",
        reexamination.text(observation, "mac") or "",
    )


def _is_meant(link: Link, observation: Observation) -> bool:
    return (link.index, link.name, link.mac) == _identity(observation)


def made(places: Places) -> Fix:
    """Return the fix for a host whose kubelet has its pods at these *places*."""
    looks = partial(objection, places), deeds, achieved
    return Fix(_NAME, Stage.RECLAIM, aims, *looks, at=made)


FIX = made(Places())
