"""What outlived its pod, in words and as the subject of an observation."""

from __future__ import annotations

from collections.abc import Iterable

from kernelhealth_agent.kernel import sandboxes
from kernelhealth_agent.kernel.address_owners import Residue
from kernelhealth_agent.kernel.link_owners import Peer, ResidualLink
from kernelhealth_agent.kernel.namespaces import Pod, Remembered
from kernelhealth_agent.kernel.network_functions import LostFunction
from kernelhealth_api.v1alpha1.finding import Subject

_SHOWN = 8
_LISTED = 3
_ADVICE = {
    Peer.HOST: "both its ends are in the host and nothing uses it: delete it",
    Peer.IDLE: "its other end is in a namespace without processes that is only held open: "
    "free that namespace and the link goes with it",
    Peer.LOST: "its other end is in a namespace that nothing reaches: free that namespace "
    "(NetworkNamespaceLeaked says what keeps it) and the link goes with it",
}


def link(found: ResidualLink, *, crowded: bool) -> tuple[str, Subject]:
    """Return message and subject of a link; *crowded* where its bridge is nearly full."""
    link, space = found.link, found.space
    full = "; its bridge has hardly a free port left" if crowded else ""
    of = f"{link.kind} {link.name} was made for {_whose(found.pod)} ({found.evidence})"
    if not found.proven:
        of = f"{link.kind} {link.name} is of no use any more"
    subject = _subject(
        found.pod,
        interfaces=(link.name,),
        addresses=found.addresses[:_SHOWN],
        namespace=space.inode if space else None,
        nsid=None if found.peer is Peer.HOST else link.peer_nsid,
        container=_container(found.sandbox),
        holder=_holder(found),
    )
    return f"{of}{full}; {_ADVICE[found.peer]}.", subject


def address(residue: Residue, crowd: str) -> tuple[str, Subject]:
    """Return message and subject of a residue; *crowd* says how full its network is."""
    files = [f"/{lease.file}" for lease in residue.leases]
    own_first = sorted(residue.attachments, key=lambda item: item.shared)
    files = files or list(dict.fromkeys(f"/{item.file}" for item in own_first))
    rules = [str(rule) for rule in residue.rules]
    what = ", ".join(residue.addresses[:_LISTED]) or "A network attachment"
    by = ", ".join([*files[:_LISTED], *(f"rule {rule}" for rule in rules[:_LISTED])])
    name = _container(residue.sandbox)
    whose = f"sandbox {name[:13]} of {_whose(residue.pod)}" if name else _whose(residue.pod)
    full = f"; {crowd}" if crowd else ""
    subject = _subject(
        residue.pod,
        addresses=residue.addresses[:_SHOWN],
        container=name,
        file=files[0] if files else None,
        rule=rules[0] if rules else None,
    )
    how = "release it"
    if not residue.deletable:
        how = "have the plugin release it (CNI DEL of that sandbox, or a restart of its agent)"
    return f"{what} is still kept for {whose}, which is gone, by {by}{full}: {how}.", subject


def device(found: LostFunction, memory: Iterable[Remembered]) -> tuple[str, Subject]:
    """Return message and subject of a network function; *memory* knows whose the namespace was."""
    function, link = found.function, found.link
    past = next((m for m in memory if found.nsid is not None and m.nsid == found.nsid), None)
    where = "has an interface, but in no network namespace that can be looked into"
    if link is not None:
        where = f"is {link.name} ({link.mac}) in a network namespace that nothing reaches"
    owner = f", left by pod {past.pod.title}" if past else ""
    subject = _subject(
        past.pod if past else None,
        device=function.address,
        nsid=found.nsid,
        namespace=past.inode if past else None,
        interfaces=(link.name,) if link else (),
        container=_container(past.sandbox) if past else None,
        holder="kernel" if link else None,
    )
    message = (
        f"Network function {function.address} ({function.driver}) {where}{owner}: "
        "free the namespace, or unbind the function from its driver and bind it again, which "
        "brings it back to the host without a reboot."
    )
    return message, subject


def file(path: str) -> tuple[str, Subject]:
    """Return message and subject of a file in place of a namespace."""
    message = (
        f"/{path} is an ordinary file where a network namespace was to be mounted; "
        "ip netns calls it an invalid peer: remove the file."
    )
    return message, Subject(file=f"/{path}")


def _whose(pod: Pod | None) -> str:
    return "a pod of unknown name" if pod is None else f"pod {pod.title}"


def _container(sandbox: str | None) -> str | None:
    return sandboxes.bare(sandbox) if sandbox else None


def _holder(found: ResidualLink) -> str | None:
    if found.space is None:
        return None if found.peer is Peer.HOST else "kernel"
    if found.space.mounts:
        return f"mount {found.space.mounts[0].path}"
    return "an open descriptor"


def _subject(pod: Pod | None, **known: object) -> Subject:
    if pod is not None:
        known |= {"pod": pod.title, "pod_uid": pod.uid, "pod_known_by": pod.known_by}
    return Subject.model_validate(known)
