"""What CNI plugins, runtimes and cgroups leave in files and names."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import cni_cache, host_local, interface_names, sandboxes

ID = "3f6940ab5ab43bc522569d15b23f8c1bbde1d7678b080398506924fc01d72755"


def cached(**changed: Any) -> bytes:
    usual: dict[str, Any] = {
        "kind": "cniCacheV1",
        "containerId": ID,
        "ifName": "eth0",
        "networkName": "pods",
        "netns": "/var/run/netns/cni-1",
        "cniArgs": [["K8S_POD_NAMESPACE", "shop"], ["K8S_POD_NAME", "cart-7"]],
        "result": {
            "interfaces": [
                {"name": "veth1a2b3c4d"},
                {"name": "eth0", "sandbox": "/var/run/netns/cni-1"},
            ],
            "ips": [{"address": "10.244.0.9/24"}],
        },
    }
    return json.dumps(usual | changed).encode()


def local(**ipam: Any) -> dict[str, Any]:
    return {"type": "host-local", **ipam}


def configured(ipam: dict[str, Any]) -> str:
    plugins = [{"type": "ptp", "ipam": ipam}, {"type": "portmap"}]
    return base64.b64encode(json.dumps({"plugins": plugins}).encode()).decode()


def test_a_cache_file_tells_pod_host_link_and_address() -> None:
    found = cni_cache.attachment(cached(), "var/lib/cni/results/x")

    assert found is not None
    assert (found.sandbox, found.network, found.interface) == (ID, "pods", "eth0")
    assert found.pod == ("shop", "cart-7")
    assert found.host_links == ("veth1a2b3c4d",)
    assert found.addresses == ("10.244.0.9",)
    assert found.pool is None


@pytest.mark.parametrize(
    ("ipam", "size"),
    [
        (local(subnet="10.244.0.0/24"), 253),
        (local(ranges=[[{"subnet": "10.0.0.0/29"}, {"subnet": "10.1.0.0/29"}]]), 10),
        (local(ranges=[[{"subnet": "10.0.0.0/24"}], [{"subnet": "fd00::/64"}]]), 253),
        (local(subnet="10.0.0.0/24", rangeStart="10.0.0.5", rangeEnd="10.0.0.9"), 5),
        ({"type": "dhcp", "subnet": "10.244.0.0/24"}, None),
        (local(ranges=7), None),
        (local(subnet="nonsense"), None),
    ],
)
def test_the_size_of_the_pool_is_that_of_the_smallest_set_of_ranges(
    ipam: dict[str, Any], size: int | None
) -> None:
    found = cni_cache.attachment(cached(config=configured(ipam)), "x")

    assert found is not None
    assert found.pool == size


def test_a_result_of_an_old_libcni_is_known_by_the_name_of_its_file() -> None:
    text = json.dumps({"cniVersion": "0.2.0", "ip4": {"ip": "10.244.0.9/24"}}).encode()

    found = cni_cache.attachment(text, f"var/lib/cni/cache/results/my-net-{ID}-eth0")

    assert found is not None
    assert (found.network, found.sandbox, found.interface) == ("my-net", ID, "eth0")
    assert found.addresses == ("10.244.0.9",)
    assert cni_cache.attachment(text, "var/lib/cni/results/note") is None


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b"\xff", b'{"kind": "cniCacheV1"}', b"[" * 9999]
)
def test_a_cache_file_that_is_being_written_is_named(text: bytes) -> None:
    with pytest.raises(errors.UnreadableError, match=r"^var/lib/cni/results/x cannot be under"):
        cni_cache.attachment(text, "var/lib/cni/results/x")


@pytest.mark.parametrize(
    ("text", "sandbox"),
    [(f"{ID}\r\neth0", ID), (ID, ID), (f"{ID}\n", ID), ("", ""), ("default-1", "default-1")],
)
def test_a_lease_names_its_sandbox_or_nobody(text: str, sandbox: str) -> None:
    found = host_local.lease(text.encode(), "var/lib/cni/networks/pods/10.244.0.9")

    assert (found.network, found.address, found.sandbox) == ("pods", "10.244.0.9", sandbox)


@pytest.mark.parametrize(
    ("name", "is_lease"),
    [("10.244.0.9", True), ("fd00::7", True), ("lock", False), ("last_reserved_ip.0", False)],
)
def test_leases_are_told_from_other_files_by_name(name: str, is_lease: bool) -> None:  # noqa: FBT001
    assert host_local.is_address(name) is is_lease


@pytest.mark.parametrize(
    ("name", "container"),
    [
        (ID, ID),
        (f"cri-containerd-{ID}.scope", ID),
        (f"crio-{ID}.scope", ID),
        (f"docker-{ID}.scope", ID),
        ("cgroup.procs", None),
        ("kubepods-burstable.slice", None),
    ],
)
def test_a_container_is_known_by_its_cgroup(name: str, container: str | None) -> None:
    assert sandboxes.container(name) == container


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("0::/kubepods.slice/kubepods-pod1.slice/x.scope", "sys/fs/cgroup/kubepods.slice"),
        ("4:memory:/top/kubepods/burstable/pod1/x", "sys/fs/cgroup/memory/top/kubepods"),
        ("1:name=systemd:/kubepods/pod1/x", "sys/fs/cgroup/systemd/kubepods"),
    ],
)
def test_the_tree_of_pods_is_where_a_process_of_a_pod_is(text: str, tree: str) -> None:
    assert sandboxes.trees(text.encode())[0] == tree


@pytest.mark.parametrize("text", ["", "0::/user.slice", "0::/../kubepods/pod1", "nonsense"])
def test_no_tree_is_taken_from_other_processes_or_beyond_the_root(text: str) -> None:
    assert sandboxes.trees(text.encode()) == ()


def test_names_lead_back_to_pods_by_the_published_vectors() -> None:
    # Calico's own test: prefix eni, namespace "namespace", pod "podname".
    table = interface_names.by_digits([("namespace", "podname"), ("shop", "cart-7")])

    assert interface_names.hashed_pod("eni82111e10a96", table) == ("namespace", "podname")
    assert interface_names.hashed_pod("cali82111e10a96", table) == ("namespace", "podname")
    assert interface_names.hashed_pod("82111e10a96", table) is None
    assert interface_names.hashed_pod("eni82111e10a97", table) is None


def test_further_interfaces_of_a_pod_lead_back_to_it() -> None:
    table = interface_names.by_digits([("shop", "cart-7")])

    # echo -n shop.cart-7.1 | sha1sum, and shop.cart-7eth1.
    assert interface_names.hashed_pod("eni8379b207d98", table) == ("shop", "cart-7")
    assert interface_names.hashed_pod("calif708777190b", table) == ("shop", "cart-7")


def test_ciliums_names_lead_back_to_the_sandbox_in_both_its_recipes() -> None:
    table = interface_names.by_sandbox([ID])

    # echo -n ID:eth0 | sha256sum, and of the ID alone.
    assert {"lxc06f744199c8e": ID, "lxc038e7cd27975": ID}.items() <= table.items()


def test_azures_other_recipe_leads_back_to_the_sandbox() -> None:
    assert interface_names.by_sandbox([ID])["azv3f6940a"] == ID


@pytest.mark.parametrize(
    ("name", "pod"),
    [
        # Of pkg/networkutils/names_test.go of the AWS VPC CNI.
        ("enib5faff8a083", ("kube-system", "coredns-57ff979f67-qqbdh")),
        ("vlanb5faff8a083", ("kube-system", "coredns-57ff979f67-qqbdh")),
        ("eni9571956a6cc", ("kube-system", "coredns-57ff979f67-8ns9b")),
        ("enicc21c2d7785", ("default", "sample-pod")),
        # Of pkg/link/veth_test.go of Terway.
        ("calic95a4947e07", ("default", "client-b6989bf87-2bgtc")),
    ],
)
def test_names_of_the_plugins_own_tests_lead_back_to_their_pods(
    name: str, pod: tuple[str, str]
) -> None:
    table = interface_names.by_digits([pod, ("shop", "cart-7")])

    assert interface_names.hashed_pod(name, table) == pod


@pytest.mark.parametrize(
    ("name", "plugin"),
    [
        ("cali82111e10a96", "Calico or Terway"),
        ("eni82111e10a96", "the AWS VPC CNI"),
        ("vlan82111e10a96", "the AWS VPC CNI"),
        ("azv82111e10a96", "the Azure CNI"),
        ("azv82111e1", "the Azure CNI"),
        ("azv82111e1-2", None),
        ("gke82111e10a96", "GKE"),
        ("lxc0123456789ab", "Cilium"),
        ("lxc_health", None),
        ("veth82111e10", None),
        ("veth82111e1", None),
        ("cali-mine", None),
        ("eni0", None),
        ("tap0", None),
    ],
)
def test_only_names_that_a_plugin_makes_look_like_a_pods(name: str, plugin: str | None) -> None:
    assert interface_names.plugin(name) == plugin


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
shaped = st.fixed_dictionaries(
    {"kind": st.just("cniCacheV1"), "containerId": st.text()},
    optional=dict.fromkeys(("netns", "cniArgs", "result", "config"), json_values),
)


@given(st.binary() | (shaped | json_values).map(lambda v: json.dumps(v).encode()))
def test_any_cache_file_gives_an_attachment_in_printable_text_or_is_named(text: bytes) -> None:
    path = f"var/lib/cni/results/net-{ID}-eth0"

    try:
        found = cni_cache.attachment(text, path)
    except errors.UnreadableError as error:
        found, said = None, str(error)
    else:
        said = path

    assert path in said
    assert found is None or str(found).encode()


@given(json_values)
def test_any_ranges_give_a_size_or_none(ranges: Any) -> None:
    found = cni_cache.attachment(cached(config=configured(local(ranges=ranges))), "x")

    assert found is not None
    assert found.pool is None or found.pool > 0


@given(st.binary())
def test_any_lease_gives_one_word_for_the_sandbox_or_is_named(text: bytes) -> None:
    try:
        said = host_local.lease(text, "n/10.0.0.1").sandbox
    except errors.UnreadableError as error:
        assert error.path == "n/10.0.0.1"  # noqa: PT017 - Both outcomes are right.
    else:
        assert len(said.split()) == bool(said)


@given(st.binary() | st.text().map(lambda t: f"0::/{t}/kubepods/{t}".encode()))
def test_trees_never_leave_the_cgroups(text: bytes) -> None:
    for tree in sandboxes.trees(text):
        assert tree.startswith("sys/fs/cgroup/")
        assert ".." not in tree.split("/")


def test_a_network_whose_name_is_no_text_can_be_a_label() -> None:
    lease = host_local.lease(ID.encode(), "var/lib/cni/networks/pods\udcff/10.244.0.9")

    assert lease.network == "pods\\udcff"
