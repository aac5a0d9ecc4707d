"""The detector on hosts that were recorded, and on recordings with something missing or broken."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernelhealth_agent import errors, inventory, stray_functions
from kernelhealth_agent.detectors import residual_links as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.namespaces import Pod, Remembered
from kernelhealth_agent.kernel.pod_networks import PodNetworks
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.reexamination import Premises
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import residual_links as source
from kernelhealth_api.detector import Observation

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEAKED = 3
"""The id of the namespace that nothing reaches, in the recording of leftovers."""
POD = Pod("shop", "cart-8", "8a7f0000-0000-4000-8000-000000000008", "cgroup")


@pytest.fixture
def sick(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HOSTS / "residual_links-abandoned", tmp_path / "h", symlinks=True))


@pytest.fixture
def stranded(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HOSTS / "residual_links-stranded", tmp_path / "h", symlinks=True))


def collected(root: Path, *memory: Remembered) -> PodNetworks:
    host = RecordedHost(str(root))
    looked = inventory.take(host, NOW, {m.inode: m for m in memory})
    return source.collect(host, Occasion(looked, Moment(NOW, 0.0)))


def judged(root: Path, *memory: Remembered) -> list[Observation]:
    return list(detector.judge(collected(root, *memory), detector.ResidualLinksParams()))


def of(reason: str, observations: list[Observation]) -> list[Observation]:
    return [o for o in observations if o.reason.name == reason]


def test_everything_that_was_left_over_is_found_and_nothing_else(sick: Path) -> None:
    found = judged(sick)

    assert sorted((o.reason.name, o.subject.interfaces or o.subject.addresses) for o in found) == [
        ("DanglingNamespaceFile", ()),
        ("ResidualPodAddress", ("10.244.0.10",)),
        ("ResidualPodAddress", ("10.244.0.8",)),
        ("ResidualPodLink", ("eni4186e275fe2",)),
        ("ResidualPodLink", ("veth5e6f7a8b",)),
    ]
    assert {o.subject.pod for o in found} == {None, "shop/cart-8"}


def test_a_healthy_host_with_look_alikes_is_silent() -> None:
    assert judged(HOSTS / "residual_links-healthy") == []


def test_a_lost_function_is_told_from_one_in_use_and_from_those_without_interfaces(
    stranded: Path,
) -> None:
    (found,) = judged(stranded, Remembered(4026532200, 0, POD, "d" * 64, NOW))

    assert found.reason is detector.DEVICE
    assert found.severity is None
    assert found.subject.device == "0000:00:10.0"
    assert found.subject.pod == "shop/cart-8"
    assert found.subject.nsid == 0


def test_only_functions_with_a_driver_that_makes_interfaces_are_looked_at(stranded: Path) -> None:
    found = stray_functions.functions(RecordedHost(str(stranded)))

    assert [(f.address, f.parent) for f in found] == [
        ("0000:00:03.0", "virtio2"),
        ("0000:00:10.0", "virtio4"),
        ("0000:00:11.0", "virtio5"),
        ("0000:00:14.0", "0000:00:14.0"),
    ]


def test_a_function_that_is_nowhere_is_a_warning(stranded: Path) -> None:
    (stranded / "netlink/nsids.hex").write_text("")

    (found,) = judged(stranded)

    assert found.severity is not None
    assert found.severity.value == "Warning"


def test_no_function_is_called_lost_where_the_kernel_does_not_name_parents(stranded: Path) -> None:
    for answer in (stranded / "netlink").glob("links*.hex"):
        # IFLA_PARENT_DEV_NAME (56), "virtioN": as an attribute that no kernel sends.
        answer.write_text(answer.read_text().replace("0c003800", "0c00ff00"))

    sample = collected(stranded)

    assert sample.lost == ()
    assert sample.blind[0].startswith("where 0000:00:10.0, 0000:00:11.0 went cannot be told")


def test_no_function_is_called_lost_while_a_namespace_cannot_be_looked_into(
    stranded: Path,
) -> None:
    (stranded / "netlink/links@4026532300.hex").write_text("garbage")

    sample = collected(stranded)

    assert sample.lost == ()
    assert "links@4026532300.hex" in sample.blind[0]


def test_where_a_function_went_raises_no_doubt_about_any_pod(stranded: Path) -> None:
    (stranded / "netlink/links@4026532300.hex").write_text("garbage")

    sample = collected(stranded)

    assert sample.blind
    assert sample.doubts == ()
    assert "might speak for a pod" not in Premises(sample.inventory, sample).uncertainty()


def test_a_broken_cni_result_is_named_and_the_others_are_read(sick: Path) -> None:
    (sick / "var/lib/cni/results/broken").write_text("{")

    sample = collected(sick)

    assert len(sample.attachments) == 2
    (doubt,) = sample.doubts
    assert "var/lib/cni/results/broken" in doubt
    assert sample.blind == (doubt,)
    assert doubt in Premises(sample.inventory, sample).uncertainty()


def test_without_a_list_of_sandboxes_no_lease_and_no_link_by_name_is_claimed(sick: Path) -> None:
    shutil.rmtree(sick / "run/containerd")

    found = judged(sick)

    assert of("ResidualPodAddress", found) == []
    assert [o.subject.nsid for o in of("ResidualPodLink", found)] == [LEAKED]


def test_sandboxes_are_found_by_the_cgroups_of_pods_below_another_top(sick: Path) -> None:
    alive = "3f6940ab5ab43bc522569d15b23f8c1bbde1d7678b080398506924fc01d72755"
    shutil.rmtree(sick / "run/containerd")
    cgroup = next(
        path for path in (sick / "proc").glob("*/cgroup") if "kubepods" in path.read_text()
    )
    cgroup.write_text(cgroup.read_text().replace("/kubepods", "/top/kubepods"))
    tree = sick / "sys/fs/cgroup/top/kubepods/burstable/pod8a7f0000-0000-4000-8000-000000000007"
    (tree / alive).mkdir(parents=True)
    (tree / "cgroup.procs").touch()

    sample = collected(sick)

    assert sample.sandboxes == frozenset({alive})
    assert len(of("ResidualPodAddress", judged(sick))) == 2


def test_no_address_is_called_unused_while_a_namespace_cannot_be_asked(sick: Path) -> None:
    for answer in (sick / "netlink").glob("addresses@*.hex"):
        answer.write_text("garbage")

    sample = collected(sick)
    found = of("ResidualPodAddress", judged(sick))

    assert sample.used is None
    assert [o.subject.addresses for o in found] == [("10.244.0.8",)]
    assert sample.blind[0].startswith("no address can be called unused: netlink/addresses@")


@pytest.mark.parametrize("answer", ["rules", "routes"])
def test_a_torn_netlink_answer_is_named(answer: str, sick: Path) -> None:
    (sick / f"netlink/{answer}.hex").write_text("1c00000020000200")

    with pytest.raises(errors.UnreadableError, match=f"^netlink {answer} cannot be understood"):
        collected(sick)


def test_a_host_without_policy_routing_and_kubernetes_is_healthy(sick: Path) -> None:
    (sick / "netlink/rules.hex").unlink()
    shutil.rmtree(sick / "var")
    shutil.rmtree(sick / "run")

    found = judged(sick)

    assert {o.subject.nsid for o in found} == {LEAKED}


def test_a_namespace_file_that_is_mounted_in_another_mount_namespace_is_in_use(sick: Path) -> None:
    name = "cni-1b0f0000-0000-4000-8000-00000000000b"
    mounts = sick / "proc/1/mountinfo"
    line = f"90 24 0:4 net:[4026532999] /run/netns/{name} rw - nsfs nsfs rw\n"
    mounts.write_text(mounts.read_text() + line)
    (sick / f"proc/1/root/run/netns/{name}").touch()

    assert of("DanglingNamespaceFile", judged(sick)) == []
