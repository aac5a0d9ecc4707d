from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kernelhealth_e2e.lab.scenarios.gssproxy import network_state
from kernelhealth_e2e.lab.scenarios.gssproxy.network_state import Link

LO = {"ifindex": 1, "ifname": "lo", "address": "00:00:00:00:00:00"}
OWN = {"ifname": "eth0", "address": "52:54:00:12:34:56", "parentdev": "virtio4"}
NEAR = {"ifname": "veth1", "address": "aa:00:00:00:00:01", "link_netnsid": 0}
FAR = {"ifname": "veth2", "address": "aa:00:00:00:00:02", "link_netnsid": 2}
REACHED = {0: "0", 1: "unassigned"}
MODULES = "nfsd 1 0 - Live 0x0\nauth_rpcgss 2 1 nfsd, Live 0x0\n"
FUNCTIONS = "/sys/devices/pci0000:00/0000:00:06.0/virtio4\n/sys/devices/pci0000:00/07.0/virtio5\n"


def shown(
    links: list[dict[str, Any]], ids: list[int], namespaces: Mapping[int, str] = REACHED
) -> str:
    """Give what the programs print, one after the other."""
    parts = (
        json.dumps(links) + "\n",
        json.dumps([{"nsid": nsid} for nsid in ids]) + "\n",
        json.dumps({"namespaces": [{"ns": n, "netnsid": i} for n, i in namespaces.items()]}) + "\n",
        MODULES,
        FUNCTIONS,
        "netid: local\naddr:  /var/run/gssproxy.sock\n",
    )
    return "=\n".join(parts)


def test_a_namespace_with_an_id_that_no_process_has_is_lost_with_its_link() -> None:
    state = network_state.parsed(shown([LO, NEAR, FAR], [0, 2]))

    assert state.lost == {2}
    assert state.lost_links == ("veth2",)


def test_the_namespace_of_a_living_process_is_not_lost() -> None:
    state = network_state.parsed(shown([LO, NEAR], [0]))

    assert state.lost == frozenset()
    assert state.lost_links == ()
    assert state.links["veth1"] == Link(0, "aa:00:00:00:00:01", None)


def test_a_lost_namespace_without_a_link_to_the_host_is_seen_by_its_id() -> None:
    state = network_state.parsed(shown([LO], [3]))

    assert state.lost == {3}
    assert state.lost_links == ()


def test_a_function_that_is_driven_and_has_no_link_on_the_host_is_away() -> None:
    state = network_state.parsed(shown([LO, OWN], []))

    assert state.away == ("virtio5",)
    assert state.functions["virtio5"] == "07.0"


def test_modules_and_transports_are_taken_as_the_kernel_names_them() -> None:
    state = network_state.parsed(shown([LO], []))

    assert state.modules == {"nfsd", "auth_rpcgss"}
    assert "/var/run/gssproxy.sock" in state.transports
