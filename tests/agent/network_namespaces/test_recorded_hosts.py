"""The detector on hosts that were recorded, with and without memory."""

from __future__ import annotations

import dataclasses
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from kernelhealth_agent import errors, inventory
from kernelhealth_agent.detectors import network_namespaces as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel import namespace_views
from kernelhealth_agent.kernel.leaks import NetworkNamespaces
from kernelhealth_agent.kernel.namespace_answers import Answers, Listed, Socket
from kernelhealth_agent.kernel.namespace_views import Views
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
    return judgement(collected(host, *memory))


def judgement(sample: NetworkNamespaces) -> list[Observation]:
    return list(detector.judge(sample, detector.NetworkNamespacesParams()))


def continued(name: str) -> NetworkNamespaces:
    """Look at a host that has a recording of what was remembered, at the time it says."""
    recorded = RecordedHost(str(HOSTS / name))
    said = recorded.recording()
    memory = source.SOURCE.recalled(said["memories"]["network_namespaces"])
    looked = dataclasses.replace(inventory.take(recorded, NOW, {}), thorough=True)
    return source.collect(recorded, Occasion(looked, Moment(NOW, said["uptime"]), memory))


def copied(name: str, to: Path) -> Path:
    return Path(shutil.copytree(HOSTS / name, to / "h", symlinks=True))


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


def test_an_nfs_client_that_keeps_a_namespace_is_named_with_its_server() -> None:
    (found,) = judged("network_namespaces-nfs-pinned")

    assert found.cause == "NfsPin"
    assert found.cures == ("Reboot",)
    assert found.subject.namespace == LOST
    assert found.subject.holder == "kernel (NFS client of server 192.0.2.50)"
    assert "NFS client of server 192.0.2.50 keeps it, with 2 requests unanswered" in found.message
    assert "which frees it without a reboot" in found.message


def test_a_client_is_found_by_the_inode_number_that_is_remembered_too(tmp_path: Path) -> None:
    host = copied("network_namespaces-nfs-pinned", tmp_path)
    shutil.rmtree(host / "probes")

    (found,) = judged(host, past(LOST))

    assert found.cause == "NfsPin"


def test_a_kernel_that_tells_no_namespaces_of_clients_gives_a_guess(tmp_path: Path) -> None:
    host = copied("network_namespaces-nfs-pinned", tmp_path)
    for info in (host / "sys/kernel/debug/sunrpc/rpc_xprt").glob("*/info"):
        info.write_text("".join(info.read_text().splitlines(keepends=True)[:4]))

    (found,) = judged(host)

    assert found.cause == "HeldByKernel"
    assert "perhaps its NFS client of server 192.0.2.50 or its NFS client of" in found.message


def test_another_client_of_the_kernel_is_named_with_its_service(tmp_path: Path) -> None:
    host = copied("network_namespaces-nfs-pinned", tmp_path)
    info = host / "sys/kernel/debug/sunrpc/rpc_xprt/5/info"
    info.write_text(info.read_text().replace("2049", "3999"))

    (found,) = judged(host)

    assert found.cause == "SunrpcPin"
    assert found.subject.holder == "kernel (RPC client of 192.0.2.50 port 3999)"


def test_gssproxy_is_the_holder_where_the_namespace_inside_says_so(tmp_path: Path) -> None:
    host = copied("network_namespaces-nfs-pinned", tmp_path)
    shutil.rmtree(host / "sys/kernel/debug")
    answer = host / "probes/namespaces/inside-nsid-1"
    answer.write_text(answer.read_text().replace('"-1"', '"1"'))

    (found,) = judged(host)

    assert found.cause == "GssProxyPin"
    assert "UnloadRpcGssModule" in found.cures


@pytest.mark.parametrize(
    "path",
    ["probes/namespaces/inside-nsid-1", "sys/kernel/debug/sunrpc/rpc_clnt/3/tasks"],
)
def test_a_view_that_cannot_be_understood_costs_only_itself(path: str, tmp_path: Path) -> None:
    host = copied("network_namespaces-nfs-pinned", tmp_path)
    (host / path).write_text("garbage\n")

    (found,) = judged(host)

    assert found.subject.nsid == 1


def test_who_may_have_it_in_flight_is_told_and_not_asked_again_at_once(tmp_path: Path) -> None:
    host = copied("network_namespaces-leaked", tmp_path)
    (host / "probes/namespaces").mkdir(parents=True)
    (host / "probes/namespaces/in-flight").write_text("[[2, 7, 1]]")
    (host / "proc/2/comm").write_text("broker\n")
    sample = collected(host)

    (host / "probes/namespaces/in-flight").write_text("[]")
    recorded = RecordedHost(str(host))
    looked = inventory.take(recorded, NOW, {})
    soon = source.collect(recorded, Occasion(looked, Moment(NOW, 200.0), sample.views))
    late = source.collect(recorded, Occasion(looked, Moment(NOW, 400.0), sample.views))

    (found,) = judgement(sample)
    assert found.subject.holder == "perhaps a socket in flight to broker[2] of pod shop/cart-1"
    assert "1 descriptor in flight at socket 7 of broker[2]" in found.message
    assert (len(soon.transit), len(late.transit)) == (1, 0)


def test_a_namespace_is_opened_once_an_hour_and_not_for_each_look(tmp_path: Path) -> None:
    host = copied("network_namespaces-nfs-pinned", tmp_path)
    sample = collected(host)
    assert sample.views is not None
    shutil.rmtree(host / "probes")
    recorded = RecordedHost(str(host))
    looked = inventory.take(recorded, NOW, {})
    memory = source.SOURCE.recalled(TypeAdapter(Views).dump_python(sample.views, mode="json"))

    soon = source.collect(recorded, Occasion(looked, Moment(NOW, 3000.0), memory))
    late = source.collect(recorded, Occasion(looked, Moment(NOW, 4000.0), memory))

    assert soon.unreachable[0].opened == sample.unreachable[0].opened
    assert late.unreachable[0].opened is None


def test_a_namespace_that_only_listns_shows_is_noted() -> None:
    sample = continued("network_namespaces-listns")

    (found,) = judgement(sample)

    assert found.reason is detector.UNACCOUNTED
    assert "has 1 network namespace in use (id 377)" in found.message
    assert sample.active == 4


def test_what_listns_shows_once_is_a_newcomer() -> None:
    sample = continued("network_namespaces-listns")
    assert sample.views is not None

    fresh = namespace_views.updated(None, 0.0, None, (377,))

    assert fresh.unseen == ()
    assert sample.views.unseen == (377,)


def test_what_the_slab_counts_too_many_for_an_hour_is_noted_with_its_cost() -> None:
    sample = continued("network_namespaces-uncounted")

    (found,) = judgement(sample)

    assert found.reason is detector.UNACCOUNTED
    assert found.measure is not None
    assert found.measure.value == 40.0
    assert "40 more network namespaces in every look of the last hour" in found.message
    assert "7.9 MiB" in found.message


@pytest.mark.parametrize(
    ("part", "content"),
    [("proc/1/ns/pid", "pid:[4026532000]"), ("sys/kernel/slab/net_namespace/aliases", "3")],
)
def test_the_slab_is_not_compared_where_it_counts_others(
    part: str, content: str, tmp_path: Path
) -> None:
    host = copied("network_namespaces-uncounted", tmp_path)
    (host / part).unlink()
    if "/ns/" in part:
        (host / part).symlink_to(content)
    else:
        (host / part).write_text(content)

    sample = collected(host)

    assert sample.views is not None
    assert sample.views.lows == ()


def test_a_moment_without_excess_clears_it() -> None:
    views = continued("network_namespaces-uncounted").views

    assert namespace_views.updated(views, 12_500.0, 0, ()).excess == 0
    assert namespace_views.updated(views, 20_000.0, 50, ()).excess == 50


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


def test_the_pod_of_the_process_that_holds_it_is_named(tmp_path: Path) -> None:
    host = copied("network_namespaces-held-by-socket", tmp_path)
    (host / "proc/4/cgroup").write_bytes((host / "proc/2/cgroup").read_bytes())

    (found,) = judged(host, past(LOST))

    assert found.subject.holder is not None
    assert found.subject.holder.endswith("resolver[4] of pod shop/cart-1")


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


def standing(name: str, *uptimes: float, thorough: bool = False) -> list[NetworkNamespaces]:
    """Look at a host at those uptimes, each time with what was remembered of the time before."""
    recorded, memory, found = RecordedHost(str(HOSTS / name)), None, list[NetworkNamespaces]()
    looked = dataclasses.replace(inventory.take(recorded, NOW, {}), thorough=thorough)
    for uptime in uptimes:
        found.append(source.collect(recorded, Occasion(looked, Moment(NOW, uptime), memory)))
        said = TypeAdapter(Views).dump_python(found[-1].views or Views(), mode="json")
        memory = source.SOURCE.recalled(said)
    return found


def test_who_keeps_a_standing_leak_is_asked_seldom_and_told_each_time() -> None:
    first, second, third, fourth = standing("network_namespaces-held-by-socket", 0, 60, 200, 300)

    views = [sample.views for sample in (first, second, third, fourth)]
    asked = [v.answers.uptime for v in views if v is not None and v.answers is not None]
    assert asked == [0, 60, 200, 200]
    assert judgement(fourth) == judgement(first)
    assert fourth.unreachable == first.unreachable


def test_a_thorough_look_asks_anew_who_keeps_a_standing_leak() -> None:
    *_, last = standing("network_namespaces-listed-6.1", 0, 200, 300, thorough=True)

    assert last.views is not None
    assert last.views.answers is not None
    assert last.views.answers.uptime == 300
    assert last.members is not None


def test_what_only_the_kernels_own_list_shows_is_asked_for_each_time() -> None:
    *_, before, last = standing("network_namespaces-listed-6.1", 0, 200, 300)

    assert last.members == before.members
    assert last.hidden
    assert judgement(last) == judgement(before)


def test_of_an_old_answer_that_is_kept_which_is_about_what_is_out_of_reach() -> None:
    listed = (Listed(1, 9), Listed(2, 1, nsid=4), Listed(3, 1, nsid=7), Listed(5, 1), Listed(6, 1))
    socket = Socket("resolver[4]", 5, 2)
    answers = Answers(300.0, 0.0, (4,), ((4, socket), (None, socket)), listed)

    kept = answers.kept({5})

    assert kept.listed == (listed[1], listed[3], listed[2])
    assert kept.sockets == ((4, socket),)
    assert kept.serves((4,), 600.0)
    assert not kept.serves((4, 9), 600.0)
    assert not kept.serves((4,), 1200.0)
    assert not kept.serves((4,), 299.0)


def test_what_is_counted_seldom_is_told_until_it_is_counted_again() -> None:
    recorded = RecordedHost(str(HOSTS / "network_namespaces-listed-6.1"))
    looked = inventory.take(recorded, NOW, {})
    quick = dataclasses.replace(looked, thorough=False, nsids=frozenset())

    first = source.collect(recorded, Occasion(looked, Moment(NOW, 0.0)))
    later = source.collect(recorded, Occasion(quick, Moment(NOW, 60.0), first.views))

    (signal,) = [s for s in detector.DETECTOR.signals if s.name == "network_namespaces"]
    told, kept = dict(signal.values(first)), dict(signal.values(later))
    assert (later.objects, later.members) == (None, None)
    assert ("kernel",) in told
    assert [kept.get(view) for view in (("slab",), ("kernel",))] == [
        told.get(view) for view in (("slab",), ("kernel",))
    ]
