"""Links, addresses and devices that outlived their pod.

A pod's network is taken down by the CNI plugin and by the end of the pod's network namespace. When
either fails, the node keeps a link, a lease, a rule or a whole network function that nobody uses:
the next pod of that name finds its link in the way, the address pool or the bridge runs full, the
function is lost to all. What counts as proof stands in kernel/link_owners.py and
kernel/address_owners.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta

from pydantic import Field

from kernelhealth_agent.kernel import address_owners, link_owners, residue_wording
from kernelhealth_agent.kernel.address_owners import Residue
from kernelhealth_agent.kernel.link_owners import Peer, ResidualLink
from kernelhealth_agent.kernel.pod_networks import PodNetworks
from kernelhealth_api.detector import Detector, Observation, Params, Reason, Severity, Signal
from kernelhealth_api.duration import Duration

_BRIDGE_PORTS = 1023  # net/bridge/br_private.h: BR_MAX_PORTS is 1024, and port 0 is none.


class ResidualLinksParams(Params):
    """When leftovers of pods' networks are a finding, and when a critical one."""

    confirm_after: Duration = Field(
        timedelta(minutes=5),
        description="How long a leftover must last before it is reported: a CNI plugin at work "
        "on a pod leaves the same picture, and the kubelet gives it 4 minutes.",
    )
    critical_links: int = Field(
        20, ge=1, description="From how many residual links on the finding is Critical."
    )
    critical_addresses: int = Field(
        20, ge=1, description="From how many sandboxes with residual addresses it is Critical."
    )
    nearly_full: int = Field(
        90,
        ge=1,
        le=100,
        description="How full, in percent, the bridge of a residual link or the network of a "
        "residual address must be for it to be Critical by itself.",
    )


LINK = Reason(
    "ResidualPodLink",
    Severity.WARNING,
    "A network link of the host belongs to a pod that is gone.",
    confirm="confirm_after",
    critical="critical_links",
)
ADDRESS = Reason(
    "ResidualPodAddress",
    Severity.WARNING,
    "A lease, CNI result or policy rule keeps the address of a pod that is gone.",
    confirm="confirm_after",
    critical="critical_addresses",
)
DEVICE = Reason(
    "StrandedDevice",
    Severity.CRITICAL,
    "The interface of a network function is in no network namespace that can be reached: the "
    "whole function is lost to the node.",
    confirm="confirm_after",
)
FILE = Reason(
    "DanglingNamespaceFile",
    Severity.INFO,
    "An ordinary file is in place of a network namespace; a Warning where a container runtime "
    "left it.",
    confirm="confirm_after",
)

_TREATMENT = {
    Peer.HOST: ("CniDelMissed", ("DeleteResidualLink",)),
    Peer.IDLE: ("HeldByMount", ("UnmountNamespace", "DeleteResidualLink")),
    # What keeps a namespace out of reach is for the detector of namespaces to tell.
    Peer.LOST: (None, ("Reboot",)),
}
_BY_DESCRIPTOR = ("HeldByDescriptor", ("StopHolder", "DeleteResidualLink"))


def judge(sample: PodNetworks, params: ResidualLinksParams) -> Iterator[Observation]:
    """Yield what outlived its pod, one observation per link, sandbox, device and file."""
    bridges = {link.index: link.name for link in sample.inventory.links if link.kind == "bridge"}
    ports = _bridge_ports(sample)
    limit = params.nearly_full * _BRIDGE_PORTS / 100
    for found in link_owners.residual_links(sample):
        bridge = bridges.get(found.link.master or 0, "")
        yield _link(found, crowded=ports.get((bridge,), 0) >= limit)
    crowds = _crowds(sample, params)
    for residue in address_owners.residues(sample):
        yield _address(residue, crowds)
    for lost in sample.lost:
        message, subject = residue_wording.device(lost, sample.inventory.memory.values())
        cures = ("RebindDevice", "Reboot")
        severity = Severity.WARNING if lost.link is None else None
        key = f"{lost.function.address}/{lost.function.parent}"
        aim = {name: getattr(lost.function, name) for name in ("address", "parent", "driver")}
        yield Observation(DEVICE, key, subject, message, None, cures, severity, aim=aim)
    for path in sample.dangling:
        message, subject = residue_wording.file(path)
        runtime = path.rpartition("/")[2].startswith("cni-")
        severity = Severity.WARNING if runtime else None
        yield Observation(FILE, path, subject, message, severity=severity)


def _link(found: ResidualLink, *, crowded: bool) -> Observation:
    message, subject = residue_wording.link(found, crowded=crowded)
    cause, cures = _TREATMENT[found.peer]
    if found.space is not None and not found.space.mounts:
        cause, cures = _BY_DESCRIPTOR
    severity = Severity.CRITICAL if crowded else None
    if found.peer is Peer.LOST and not found.proven:
        # A living process may well keep a namespace of its own by a socket: no pod, no harm.
        severity = Severity.INFO
    key = f"{found.link.index} {found.link.name}"
    aim: dict[str, str | int] = {
        "index": found.link.index,
        "name": found.link.name,
        "mac": found.link.mac,
    }
    if found.space is not None and found.space.cookie is not None:
        aim["cookie"] = found.space.cookie
    return Observation(LINK, key, subject, message, cause, cures, severity, aim=aim)


def _address(residue: Residue, crowds: Mapping[str, str]) -> Observation:
    crowd = next((crowds[x.network] for x in residue.leases if x.network in crowds), "")
    message, subject = residue_wording.address(residue, crowd)
    severity = Severity.CRITICAL if crowd else None
    cures = ("ReleaseAddress",) if residue.deletable else ()
    return Observation(ADDRESS, residue.key, subject, message, "CniDelMissed", cures, severity)


def _crowds(sample: PodNetworks, params: ResidualLinksParams) -> dict[str, str]:
    """Return how full each network is that is nearly full."""
    pools, given = address_owners.pools(sample), address_owners.leased(sample)
    return {
        network: f"{given[network]} of {size} addresses of network {network} are given away"
        for network, size in pools.items()
        if 100 * given.get(network, 0) >= params.nearly_full * size
    }


def _bridge_ports(sample: PodNetworks) -> dict[tuple[str, ...], float]:
    names = {link.index: link.name for link in sample.inventory.links if link.kind == "bridge"}
    masters = (link.master for link in sample.inventory.links if link.master is not None)
    ports = Counter((names[master],) for master in masters if master in names)
    return {(name,): ports[name,] for name in names.values()}


def _leased(sample: PodNetworks) -> dict[tuple[str, ...], float]:
    return {(network,): count for network, count in address_owners.leased(sample).items()}


DETECTOR = Detector(
    name="residual_links",
    condition="PodLinksHealthy",
    summary="Network links, addresses and devices that outlived their pods",
    sample=PodNetworks,
    params=ResidualLinksParams,
    reasons=(LINK, ADDRESS, DEVICE, FILE),
    judge=judge,
    signals=(
        Signal(
            "residual_links_bridge_ports",
            "Ports of each bridge; it can have 1023.",
            _bridge_ports,
            ("bridge",),
        ),
        Signal(
            "residual_links_leased_addresses",
            "Addresses that host-local has given away, by network.",
            _leased,
            ("network",),
        ),
        Signal(
            "residual_links_blind",
            "Files and places that could not be looked at for leftovers of pods.",
            lambda sample: {(): len(sample.blind)},
        ),
    ),
)
