"""The detector on hosts that were recorded, with and without memory."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernelhealth_agent import errors, inventory
from kernelhealth_agent.detectors import network_namespaces as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.leaks import NetworkNamespaces
from kernelhealth_agent.kernel.namespaces import Pod, Remembered
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import network_namespaces as source
from kernelhealth_api.detector import Observation, Severity

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
POD = Pod("shop", "cart-2", "8a7f0000-0000-4000-8000-000000000002", "cgroup")
BOX = "2" * 64
LOST = 4026532999
"""The inode number that the leaked namespace had; nothing in the recording tells it."""


def collected(host: str | Path, *memory: Remembered) -> NetworkNamespaces:
    recorded = RecordedHost(str(HOSTS / host))
    known = {past.inode: past for past in memory}
    looked = inventory.take(recorded, NOW, known)
    return source.collect(recorded, Occasion(looked, Moment(NOW, 0.0)))


def judged(host: str | Path, *memory: Remembered) -> list[Observation]:
    params = detector.NetworkNamespacesParams()
    return list(detector.judge(collected(host, *memory), params))


def past(inode: int, nsid: int | None = 1) -> Remembered:
    return Remembered(inode, nsid, POD, BOX, NOW)


def test_a_leak_is_looked_into_by_its_id() -> None:
    (found,) = judged("network_namespaces-leaked")

    assert found.reason is detector.LEAKED
    assert found.cause == "HeldByKernel"
    assert found.cures == ("Reboot",)
    assert found.subject.nsid == 1
    assert found.subject.interfaces == ("eth0", "veth5e6f7a82")
    assert found.subject.addresses == ("10.244.0.2",)
    assert found.subject.pod is None


def test_a_leak_without_interfaces_has_the_pod_that_is_remembered() -> None:
    (found,) = judged("network_namespaces-leaked-no-interfaces", past(LOST))

    assert found.subject.interfaces == ()
    assert (found.subject.namespace, found.subject.nsid) == (LOST, 1)
    assert (found.subject.pod, found.subject.pod_known_by) == ("shop/cart-2", "memory")
    assert found.subject.container == BOX
    assert found.message.startswith(
        f"Network namespace {LOST} (nsid 1) of pod shop/cart-2 is still"
    )


def test_a_leak_has_the_same_key_with_its_interfaces_and_without() -> None:
    (before,) = judged("network_namespaces-leaked", past(LOST))
    (after,) = judged("network_namespaces-leaked-no-interfaces", past(LOST))

    assert before.key == after.key


def test_a_leak_is_not_of_the_pod_whose_namespace_is_in_sight() -> None:
    host = "network_namespaces-leaked"
    (seen,) = inventory.take(RecordedHost(str(HOSTS / host)), NOW, {}).namespaces

    (found,) = judged(host, past(seen))

    assert found.subject.pod is None
    assert found.subject.namespace is None


def test_a_namespace_that_reuses_the_id_of_an_unknown_one_has_another_key(tmp_path: Path) -> None:
    host = Path(shutil.copytree(HOSTS / "network_namespaces-leaked", tmp_path / "h", symlinks=True))
    (first,) = judged(host)
    links = host / "netlink/links-of-nsid-1.hex"
    (link,) = [link for link in collected(host).unreachable[0].inside if link.name == "eth0"]
    mac = link.mac.replace(":", "")
    links.write_text(links.read_text().replace(mac, "02" * 6))
    (second,) = judged(host)

    assert first.key != second.key


def test_the_process_that_keeps_a_gone_pods_namespace_is_named() -> None:
    (found,) = judged("network_namespaces-kept-by-process")

    assert found.cause == "HeldByProcess"
    assert found.cures == ("StopHolder",)
    assert found.subject.pod == "shop/cart-2"
    assert found.subject.holder == "process pause[3]"


def test_the_mount_that_keeps_a_gone_pods_namespace_is_named_if_the_pod_is_remembered() -> None:
    host = "network_namespaces-kept-by-mount"
    recorded = RecordedHost(str(HOSTS / host))
    (mounted,) = [
        space for space in inventory.take(recorded, NOW, {}).namespaces.values() if space.mounts
    ]

    (found,) = judged(host, past(mounted.inode))

    assert judged(host) == []
    assert found.cause == "HeldByMount"
    assert found.cures == ("UnmountNamespace", "StopHolder")
    assert found.subject.holder is not None
    assert "mount /run/netns/cni-" in found.subject.holder


def test_a_socket_of_a_living_process_is_a_warning_only_for_a_pods_namespace() -> None:
    (unknown,) = judged("network_namespaces-held-by-socket")
    (pods,) = judged("network_namespaces-held-by-socket", past(LOST))

    assert (unknown.cause, pods.cause) == ("HeldBySocket", "HeldBySocket")
    assert (unknown.severity, pods.severity) == (Severity.INFO, None)
    assert unknown.subject.holder is not None
    assert unknown.subject.holder.startswith("socket ")
    assert "resolver[" in unknown.subject.holder


@pytest.mark.parametrize("host", ["healthy", "busy"])
def test_a_healthy_host_is_silent(host: str) -> None:
    assert judged(f"network_namespaces-{host}") == []


def test_every_view_of_the_namespaces_is_a_signal() -> None:
    sample = collected("network_namespaces-leaked")
    values = {signal.name: signal.values(sample) for signal in detector.DETECTOR.signals}

    assert values["network_namespaces_unreachable"] == {(): 1}
    assert values["network_namespaces_kept"] == {(): 0}
    assert values["network_namespaces"]["reachable",] == 1
    assert values["network_namespaces"]["nsid",] == 2
    assert values["network_namespaces"]["slab",] >= 2


@pytest.mark.parametrize("broken", ["links-of-nsid-1", "addresses-of-nsid-1"])
def test_a_leak_is_told_although_it_cannot_be_looked_into(broken: str, tmp_path: Path) -> None:
    host = Path(shutil.copytree(HOSTS / "network_namespaces-leaked", tmp_path / "h", symlinks=True))
    (host / f"netlink/{broken}.hex").write_text("1c000000")

    (found,) = judged(host)

    assert found.subject.nsid == 1
    assert "veth5e6f7a82" in found.subject.interfaces


@pytest.mark.parametrize("content", ["", "x", "7 N0=y", None])
def test_a_slab_that_says_nothing_is_no_signal(content: str | None, tmp_path: Path) -> None:
    host = Path(shutil.copytree(HOSTS / "network_namespaces-leaked", tmp_path / "h", symlinks=True))
    objects = host / "sys/kernel/slab/net_namespace/objects"
    objects.unlink()
    if content is not None:
        objects.write_text(content)

    assert collected(host).objects == (7 if content == "7 N0=y" else None)


def test_a_shared_slab_is_not_counted(tmp_path: Path) -> None:
    host = Path(shutil.copytree(HOSTS / "network_namespaces-leaked", tmp_path / "h", symlinks=True))
    (host / "sys/kernel/slab/net_namespace/aliases").write_text("2\n")

    assert collected(host).objects is None


def test_a_torn_list_of_ids_is_named() -> None:
    with pytest.raises(errors.UnreadableError, match=r"^netlink nsids cannot be understood"):
        collected("network_namespaces-unreadable")


def test_a_kernel_without_a_list_of_ids_is_not_available() -> None:
    with pytest.raises(errors.AbsentError):
        collected("network_namespaces-not-available")
