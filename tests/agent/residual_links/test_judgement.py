"""What is judged a leftover, and what is let alone, without any host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent.detectors import residual_links as detector
from kernelhealth_agent.kernel.cni_cache import Attachment
from kernelhealth_agent.kernel.host_local import Lease
from kernelhealth_agent.kernel.namespaces import Inventory, Mount, Namespace, Pod, Remembered
from kernelhealth_agent.kernel.network_functions import LostFunction, NetworkFunction, lost
from kernelhealth_agent.kernel.pod_networks import PodNetworks
from kernelhealth_agent.kernel.routing import Rule
from kernelhealth_agent.kernel.rtnetlink import Link
from kernelhealth_api.detector import Observation, Severity

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALIVE, DEAD = "a" * 64, "d" * 64
LIVE_POD = Pod("shop", "cart-7", "8a7f0000-0000-4000-8000-000000000007", "cgroup")
GONE_POD = Pod("shop", "cart-8", "8a7f0000-0000-4000-8000-000000000008", "cgroup")
OF_LIVE, OF_GONE = "cali7eb5b851930", "cali0e59a234ff4"
DEFAULTS = detector.ResidualLinksParams()


def link(name: str, nsid: int | None = None, kind: str = "veth", **more: Any) -> Link:
    usual: dict[str, Any] = {"index": 7, "mac": "", "peer_index": 2, "master": None, "parent": None}
    return Link(name=name, kind=kind, peer_nsid=nsid, **(usual | more))


def inventory(*links: Link, **changed: Any) -> Inventory:
    usual: dict[str, Any] = {
        "boot_id": "b",
        "taken": NOW,
        "host": Namespace(1, nsid=9),
        "namespaces": {},
        "nsids": frozenset(),
        "links": links,
        "pods": {LIVE_POD.uid: LIVE_POD},
    }
    return Inventory(**(usual | changed))


def judged(sample: PodNetworks) -> list[Observation]:
    return list(detector.judge(sample, DEFAULTS))


def looked(*links: Link, **changed: Any) -> list[Observation]:
    seen = inventory(*links, **{k: v for k, v in changed.items() if hasattr(Inventory, k)})
    rest = {k: v for k, v in changed.items() if not hasattr(Inventory, k)}
    return judged(PodNetworks(seen, **({"sandboxes": frozenset({ALIVE})} | rest)))


def attachment(sandbox: str, **more: Any) -> Attachment:
    return Attachment(f"var/lib/cni/results/n-{sandbox}-eth0", "n", sandbox, "eth0", **more)


def lease(sandbox: str, address: str = "10.244.0.9") -> Lease:
    return Lease(f"var/lib/cni/networks/n/{address}", "n", address, sandbox)


def test_the_hashed_name_of_a_remembered_pod_names_it() -> None:
    memory = {5: Remembered(5, None, GONE_POD, None, NOW)}

    (found,) = looked(link(OF_GONE), memory=memory)

    assert found.subject.pod == "shop/cart-8"
    assert found.subject.pod_known_by == "interfaceName"
    assert "pod shop/cart-8" in found.message


def test_the_hashed_name_of_a_pod_that_the_kubelet_has_is_let_alone() -> None:
    assert not looked(link(OF_LIVE))


def test_a_hashed_name_is_let_alone_while_the_name_of_some_pod_is_unknown() -> None:
    nameless = Pod("", "", "uid-9", "cgroup")

    memory = {5: Remembered(5, None, GONE_POD, None, NOW)}

    assert len(looked(link("cali00000000000"), link(OF_GONE), memory=memory)) == 2
    assert not looked(
        link("cali00000000000"), link(OF_GONE), memory=memory, pods={"uid-9": nameless}
    )


def test_no_pod_is_called_gone_where_pods_cannot_be_listed() -> None:
    memory = {5: Remembered(5, None, GONE_POD, None, NOW)}

    assert not looked(link(OF_GONE), memory=memory, pods={}, pods_known=False)


@pytest.mark.parametrize("kind", ["", "bridge", "dummy", "tun", "vlan", "wireguard"])
def test_links_of_a_kind_that_pods_do_not_get_are_nobodys_leftover(kind: str) -> None:
    assert not looked(link("cali00000000000", kind=kind))


def test_the_id_of_the_hosts_own_namespace_means_that_both_ends_are_in_the_host() -> None:
    (found,) = looked(link("cali00000000000", 9))

    assert found.cause == "CniDelMissed"
    assert found.subject.nsid is None


@pytest.mark.parametrize("name", ["veth0a1b2c3d", "veth0a1b2c3", "tap0", "khv1", "lxc_health"])
def test_a_name_that_anybody_may_give_is_no_proof(name: str) -> None:
    idle = {5: Namespace(5, nsid=3, mounts=(Mount(1, "/run/netns/mine"),))}

    assert not looked(link(name), link(name, 3), namespaces=idle, nsids=frozenset({3}))


def test_a_cni_result_of_a_living_sandbox_beats_one_of_a_dead_sandbox() -> None:
    results = (
        attachment(ALIVE, host_links=("veth1",)),
        attachment(DEAD, host_links=("veth1", "veth2"), pod=("shop", "cart-8")),
    )

    found = looked(link("veth1"), link("veth2"), attachments=results)

    assert [o.subject.interfaces for o in found if o.reason is detector.LINK] == [("veth2",)]


def test_a_link_into_a_namespace_with_processes_is_in_use_whatever_its_name() -> None:
    space = {5: Namespace(5, nsid=3, processes=1, pids=(77,))}

    assert not looked(link(OF_GONE, 3), namespaces=space, nsids=frozenset({3}))


def test_a_link_into_an_idle_namespace_names_what_holds_it() -> None:
    space = Namespace(5, nsid=3, pod=GONE_POD, descriptors=((77, 4),))

    (found,) = looked(link("veth1", 3), namespaces={5: space}, nsids=frozenset({3}))

    assert (found.cause, found.subject.holder) == ("HeldByDescriptor", "an open descriptor")
    assert found.cures[0] == "StopHolder"


def test_a_link_into_an_idle_namespace_of_a_pod_that_lives_is_let_alone() -> None:
    space = Namespace(5, nsid=3, pod=LIVE_POD, mounts=(Mount(1, "/run/netns/cni-1"),))

    assert not looked(link("veth1", 3), namespaces={5: space}, nsids=frozenset({3}))


def test_a_link_into_a_namespace_out_of_reach_is_attributed_by_memory() -> None:
    memory = {5: Remembered(5, 3, GONE_POD, DEAD, NOW)}

    (found,) = looked(link("veth1", 3), nsids=frozenset({3}), memory=memory)

    assert (found.subject.pod, found.subject.pod_known_by) == ("shop/cart-8", "memory")
    assert found.severity is None
    assert "NetworkNamespaceLeaked" in found.message


@pytest.mark.parametrize("nsid", [-1, 4, 9])
def test_an_id_that_is_unknown_new_or_the_hosts_own_is_no_leak(nsid: int) -> None:
    assert not looked(link("veth1", nsid), nsids=frozenset({3}))


def test_nothing_is_claimed_of_links_without_a_list_of_sandboxes() -> None:
    assert not looked(link(OF_GONE), link("cali00000000000"), sandboxes=None)


def test_a_link_is_critical_where_its_bridge_has_hardly_a_port_left() -> None:
    ports = [link(f"p{n}", 3, index=n + 10, master=8) for n in range(930)]
    links = [link("cni0", kind="bridge", index=8), link(OF_GONE, master=8), *ports]
    space = {5: Namespace(5, nsid=3, processes=1)}

    found = looked(*links, namespaces=space)

    assert [o.severity for o in found] == [Severity.CRITICAL]


def test_all_that_is_left_of_one_sandbox_is_one_observation() -> None:
    rules = (Rule(512, 254, None, "10.244.0.9"), Rule(1536, 1007, "10.244.0.9", None))

    (found,) = looked(
        leases=(lease(DEAD),),
        attachments=(attachment(DEAD, addresses=("10.244.0.9",), pod=("shop", "cart-8")),),
        rules=rules,
        used={},
    )

    assert found.key == DEAD
    assert found.subject.pod == "shop/cart-8"
    assert "rule 512: from all to 10.244.0.9 lookup main" in found.message


@pytest.mark.parametrize("used", [None, {"10.244.0.9": 5}])
def test_a_lease_alone_is_let_alone_unless_its_address_is_known_to_be_unused(
    used: dict[str, int] | None,
) -> None:
    assert looked(leases=(lease(DEAD),), used={})
    assert not looked(leases=(lease(DEAD),), used=used)


def test_a_result_whose_namespace_has_processes_is_that_of_a_runtime_without_a_list() -> None:
    space = Namespace(5, processes=1, mounts=(Mount(1, "/run/netns/cni-1"),))
    result = attachment(DEAD, netns="/var/run/netns/cni-1", pod=("shop", "cart-8"))

    assert looked(attachments=(result,))
    assert not looked(attachments=(result,), namespaces={5: space})


def test_a_lease_of_nobody_is_what_a_power_failure_leaves() -> None:
    (found,) = looked(leases=(lease(""),), used={})

    assert found.key == "10.244.0.9"


def test_rules_of_an_address_of_a_living_sandbox_are_let_alone() -> None:
    rules = (Rule(512, 254, None, "10.244.0.9"),)
    mine = attachment(ALIVE, addresses=("10.244.0.9",))

    assert not looked(rules=rules, attachments=(mine,), used={})
    assert not looked(rules=rules, leases=(lease(ALIVE),), used={})


def test_a_single_rule_is_a_plugins_only_where_pods_that_live_have_the_same() -> None:
    rule, of_pod = Rule(512, 254, None, "192.0.2.7"), Rule(512, 254, None, "10.244.0.9")

    assert not looked(rules=(rule,), used={"10.244.0.9": 5})
    assert [o.key for o in looked(rules=(rule, of_pod), used={"10.244.0.9": 5})] == ["192.0.2.7"]


def test_sandboxes_from_before_a_boot_are_let_alone_until_the_kubelet_replaces_them() -> None:
    before = attachment(DEAD, addresses=("10.244.0.9",), pod=("shop", "cart-7"))
    newer = attachment(ALIVE, addresses=("10.244.0.8",), pod=("shop", "cart-7"))

    assert not looked(attachments=(before,), leases=(lease(DEAD),), used={})
    assert not looked(attachments=(before,), used={}, pods={}, pods_known=False)
    assert looked(attachments=(before,), used={}, pods={})
    assert looked(attachments=(before, newer), used={})


@pytest.mark.parametrize("replaced", [False, True])
def test_a_sandbox_without_processes_is_let_alone_while_its_pod_waits_for_containers(
    *, replaced: bool
) -> None:
    """CRI-O runs no process in a sandbox whose only container crashed or has yet to be pulled."""
    space = Namespace(5, nsid=3, mounts=(Mount(1, "/run/netns/cart"),))
    waiting = attachment(
        DEAD, netns="/var/run/netns/cart", pod=("shop", "cart-7"), host_links=("veth1",)
    )
    newer = attachment(ALIVE, pod=("shop", "cart-7"))

    found = looked(
        link("veth1", 3),
        namespaces={5: space},
        nsids=frozenset({3}),
        attachments=(waiting, newer) if replaced else (waiting,),
        leases=(lease(DEAD),),
        used={},
    )

    names = {o.reason.name for o in found}
    assert names == ({"ResidualPodLink", "ResidualPodAddress"} if replaced else set())


@pytest.mark.parametrize(
    "rule",
    [
        Rule(512, 1007, None, "10.244.0.9"),
        Rule(1536, 254, "10.244.0.9", None),
        Rule(700, 254, None, "10.244.0.9"),
        Rule(512, 254, None, None),
        Rule(0, 255, None, None),
    ],
)
def test_rules_of_another_form_are_nobodys_leftover(rule: Rule) -> None:
    assert not looked(rules=(rule,), used={})


def test_a_residue_is_critical_where_the_network_is_nearly_full() -> None:
    known = attachment(ALIVE, pool=10)
    leases = [lease(ALIVE, f"10.244.0.{n}") for n in range(8)] + [lease(DEAD, "10.244.0.99")]

    (found,) = looked(leases=tuple(leases), attachments=(known,), used={})

    assert found.severity is Severity.CRITICAL
    assert "9 of 10 addresses of network n are given away" in found.message


def test_a_function_in_a_namespace_out_of_reach_is_critical_and_names_the_pod() -> None:
    card = NetworkFunction("0000:00:10.0", "virtio4", "virtio_net", "x")
    inside = link("eth0", parent="virtio4", mac="52:54:00:0e:00:01", kind="")
    memory = {5: Remembered(5, 3, GONE_POD, DEAD, NOW)}

    (found,) = looked(lost=(LostFunction(card, inside, 3),), memory=memory)

    assert found.severity is None
    assert found.reason.severity is Severity.CRITICAL
    assert (found.subject.device, found.subject.pod) == ("0000:00:10.0", "shop/cart-8")
    assert "52:54:00:0e:00:01" in found.message


def test_a_function_in_no_namespace_at_all_is_a_warning_in_other_words() -> None:
    card = NetworkFunction("0000:00:10.0", "0000:00:10.0", "ice", "x")

    (found,) = looked(lost=(LostFunction(card),))

    assert found.severity is Severity.WARNING
    assert "in no network namespace that can be looked into" in found.message


def test_a_function_is_lost_only_when_no_link_that_can_be_reached_is_its_child() -> None:
    cards = [NetworkFunction(f"0000:00:{n}.0", f"virtio{n}", "virtio_net", "x") for n in range(3)]
    near, far = link("eth0", parent="virtio0", kind=""), link("eth0", parent="virtio1", kind="")

    found = lost(cards, [near], {3: (far,)})

    assert found == (LostFunction(cards[1], far, 3), LostFunction(cards[2]))


@pytest.mark.parametrize(
    ("name", "severity"), [("cni-1", Severity.WARNING), ("blue", None), ("x", None)]
)
def test_a_file_that_a_runtime_left_weighs_more_than_a_persons(
    name: str, severity: Severity | None
) -> None:
    (found,) = looked(dangling=(f"run/netns/{name}",))

    assert found.severity == severity
    assert found.subject.file == f"/run/netns/{name}"


names = st.sampled_from([OF_LIVE, OF_GONE, "veth1", "veth2", "eni00000000001", "cni0"])
nsids = st.none() | st.integers(-1, 4)
links = st.builds(
    link, names, nsids, st.sampled_from(["veth", "bridge", "ipvlan"]), index=st.integers(1, 9),
    master=st.none() | st.integers(1, 9),
)  # fmt: skip
ids = st.sampled_from([ALIVE, DEAD, "", "x"])
ips = st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1"])
samples = st.builds(
    PodNetworks,
    inventory=st.lists(links, unique_by=lambda x: x.index).map(lambda found: inventory(*found)),
    sandboxes=st.none() | st.frozensets(ids),
    attachments=st.lists(st.builds(attachment, ids, host_links=st.tuples(names))).map(tuple),
    leases=st.lists(st.builds(lease, ids, ips)).map(tuple),
    rules=st.lists(
        st.builds(Rule, st.sampled_from([0, 512, 1536]), st.sampled_from([254, 1007]),
                  st.none() | ips, st.none() | ips)
    ).map(tuple),
    used=st.none() | st.dictionaries(ips, st.integers(1, 9)),
)  # fmt: skip
spaces: Sequence[dict[int, Namespace]] = (
    {},
    {5: Namespace(5, nsid=1, pod=GONE_POD)},
    {5: Namespace(5, nsid=1, processes=2), 6: Namespace(6, nsid=2, mounts=(Mount(1, "/x"),))},
)


@given(samples, st.sampled_from(spaces), st.frozensets(st.integers(0, 4)))
def test_no_subject_is_observed_twice_for_one_reason(
    sample: PodNetworks, reachable: dict[int, Namespace], known: frozenset[int]
) -> None:
    seen = replace(sample.inventory, namespaces=reachable, nsids=known)

    found = judged(replace(sample, inventory=seen))

    keys = [(o.reason.name, o.key) for o in found]
    assert len(keys) == len(set(keys))


@given(samples)
def test_no_more_is_claimed_when_less_is_known(sample: PodNetworks) -> None:
    blind = judged(replace(sample, sandboxes=None))

    assert not [o for o in blind if o.cause == "CniDelMissed"]
