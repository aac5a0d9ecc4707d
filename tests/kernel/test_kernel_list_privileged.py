"""The kernel's own list of namespaces, where this kernel shows its memory and where it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kernelhealth_agent import kernel_list, moments
from kernelhealth_agent.detectors import network_namespaces as detector
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import net_layout
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import network_namespaces as source
from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import sandbox
from kernelhealth_e2e.faults.veth import veth

CORE = Path("/proc/kcore")


def test_the_types_of_this_kernel_tell_all_that_is_needed(live: LiveHost) -> None:
    content = live.read(net_layout.TYPES, 64 << 20)

    found = net_layout.layout(content, net_layout.TYPES)

    offsets = (found.links, found.inode, found.active, found.passive, found.cookie, found.ids)
    assert None not in offsets
    assert len(set(offsets)) == len(offsets)
    assert found.node is not None
    assert found.node.count in {16, 64}
    excerpt = net_layout.EXCERPTS[net_layout.TYPES](content)
    assert net_layout.layout(excerpt, net_layout.TYPES) == found
    assert len(excerpt) < 8192


def test_the_list_agrees_with_what_is_known_or_is_silently_left_out(
    live: LiveHost, look: Callable[..., Inventory]
) -> None:
    with sandbox() as pod, veth(pod.pid), held_namespace.socket_in_flight(pod.file):
        (nsid,) = live.nsids([pod.file.lstrip("/")])
        pod.stop()
        inventory = look()

        sample = source.collect(live, Occasion(inventory, moments.now()))

    assert nsid is not None
    (lost,) = [lost for lost in sample.unreachable if lost.nsid == nsid]
    (found,) = [
        found
        for found in detector.judge(sample, detector.NetworkNamespacesParams())
        if found.subject.nsid == nsid
    ]
    if CORE.exists():
        assert lost.listed is not None
        assert (lost.listed.inode, lost.listed.active) == (pod.inode, 1)
        assert "the kernel counts 1 reference" in found.message
    else:
        assert (sample.listed, sample.hidden, lost.listed) == (None, (), None)
        assert kernel_list.ask(live, inventory) is None
        assert "the kernel counts" not in found.message
