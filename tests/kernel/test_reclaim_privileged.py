"""What leaked is freed on this kernel, and what looks like it and is in use is left alone."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from kernelhealth_agent import errors, inventory, moments
from kernelhealth_agent.attribution import Places
from kernelhealth_agent.detectors import network_namespaces, residual_links
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.fixes.delete_residual_link import FIX as DELETE_LINK
from kernelhealth_agent.fixes.release_address import FIX as RELEASE
from kernelhealth_agent.fixes.unmount_namespace import FIX as UNMOUNT
from kernelhealth_agent.hosts.deeds.links import DeleteLink
from kernelhealth_agent.hosts.deeds.mounts import UnmountNamespaceFile
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import rtnetlink
from kernelhealth_agent.kernel.namespaces import Inventory, Pod, Remembered
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import network_namespaces as namespaces_source
from kernelhealth_agent.sources import residual_links as links_source
from kernelhealth_api.detector import Observation
from kernelhealth_e2e.faults.abandoned_veth import abandoned_veth, link_name
from kernelhealth_e2e.faults.namespace import Sandbox, sandbox
from kernelhealth_e2e.faults.pod_rules import left, pod_rules
from kernelhealth_e2e.faults.stale_lease import Attached, stale_lease
from kernelhealth_e2e.faults.veth import veth

LIVING = "a" * 64
DEAD = "d" * 64
PODS = "var/lib/kubelet/pods"
UID = "8a7f0000-0000-4000-8000-000000000007"
POD = Pod("shop", "cart-7", UID, "cgroup")
PATIENCE = 60.0
_CLONE_NEWNS, _MS_PRIVATE, _MS_BIND = 0x00020000, 1 << 18 | 1 << 14, 1 << 12


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """This machine with files of its own: a runtime that runs one container, a kubelet's pods."""
    made = tmp_path / "root"
    for name in ("proc", "sys"):
        made.mkdir(exist_ok=True)
        (made / name).symlink_to(f"/{name}")
    (made / "run/containerd/io.containerd.runtime.v2.task/k8s.io" / LIVING).mkdir(parents=True)
    (made / PODS).mkdir(parents=True)
    return made


@pytest.fixture
def host(root: Path) -> LiveHost:
    return LiveHost(str(root))


@pytest.fixture
def pod() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


def surveyed(host: LiveHost, memory: Mapping[int, Remembered] | None = None) -> Inventory:
    return inventory.take(host, datetime.now(UTC), memory or {}, Places(), thorough=True)


def leaked(host: LiveHost, pod: Sandbox, file: str) -> Observation:
    """Return what the detector sees of a namespace whose pod is remembered, with its aim."""
    cookie = host.cookie(file)
    (nsid,) = host.nsids([file])
    past = Remembered(pod.inode, nsid, POD, DEAD, datetime.now(UTC), cookie)
    seen = surveyed(host, {pod.inode: past})
    sample = namespaces_source.collect(host, Occasion(seen, moments.now()))
    every = network_namespaces.judge(sample, network_namespaces.NetworkNamespacesParams())
    (found,) = [each for each in every if each.subject.namespace == pod.inode]
    return replace(found, aim={} if cookie is None else {"cookie": cookie})


def residual(host: LiveHost) -> list[Observation]:
    sample = links_source.collect(host, Occasion(surveyed(host), moments.now()))
    return list(residual_links.judge(sample, residual_links.ResidualLinksParams()))


def of_link(host: LiveHost, name: str) -> Observation:
    """Return what the detector sees of a link, with its aim."""
    (found,) = [each for each in residual(host) if name in each.subject.interfaces]
    (link,) = [each for each in links(host) if each.name == name]
    return replace(found, aim={"index": link.index, "name": link.name, "mac": link.mac})


def links(host: LiveHost) -> tuple[rtnetlink.Link, ...]:
    return rtnetlink.links(host.dump(rtnetlink.links_request()), "links")


def aim_of(fix: Fix, observation: Observation) -> Aim:
    (aim,) = fix.aims([observation])
    return aim


def cured(fix: Fix, host: LiveHost, aim: Aim, root: Path) -> Path:
    """Do a fix as the agent does, wait for what it is for; return where things are kept."""
    keep = root / "var/lib/kernelhealth/kept"
    keep.mkdir(parents=True)
    until = time.monotonic() + PATIENCE
    # Whoever else looks at this machine has a namespace open for a moment.
    while against := fix.objection(host, aim):
        assert time.monotonic() < until, against
        threading.Event().wait(0.05)
    for deed in fix.deeds(host, aim):
        assert not deed.host_wide
        # Mounts are the machine's, and reached by a process's root as in the agent's container.
        deed.do(
            "/proc/self/root" if isinstance(deed, UnmountNamespaceFile) else str(root), str(keep)
        )
    until = time.monotonic() + PATIENCE
    while not is_achieved(fix, host, aim):
        assert time.monotonic() < until, "it was not achieved"
        threading.Event().wait(0.05)
    return keep


def is_achieved(fix: Fix, host: LiveHost, aim: Aim) -> bool:
    """What cannot be seen at this moment, as a process ended, is looked at again."""
    try:
        return fix.achieved(host, aim)
    except errors.HostError:
        return False


def fresh(prefix: str = "cali") -> str:
    """Return the name of a link of a pod that there never was."""
    return link_name("test", uuid4().hex, prefix)


@contextlib.contextmanager
def forgotten(pod: Sandbox, where: str = "") -> Iterator[str]:
    """Mount the namespace of a pod as a runtime does, and end the pod; a cure may unmount it."""
    target = Path(where or f"/run/netns/cni-{uuid4()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch()
    bind(pod.file, target)
    pod.stop()
    try:
        yield str(target)
    finally:
        ctypes.CDLL(None).umount2(bytes(target), 2)
        target.unlink()


def bind(file: str, target: Path) -> None:
    if ctypes.CDLL(None).mount(file.encode(), bytes(target), None, _MS_BIND, None):
        raise OSError(f"{file} could not be mounted")


def is_namespace(path: str) -> bool:
    return Path(path).stat().st_dev == Path("/proc/self/ns/net").stat().st_dev


def await_gone(host: LiveHost, name: str) -> None:
    """The kernel takes namespaces down late, and their links with them."""
    until = time.monotonic() + PATIENCE
    while any(link.name == name for link in links(host)):
        assert time.monotonic() < until, f"{name} stays"
        threading.Event().wait(0.05)


def test_a_forgotten_mount_is_unmounted_and_the_namespace_goes(
    host: LiveHost, root: Path, pod: Sandbox
) -> None:
    with veth(pod.pid) as near, forgotten(pod) as where:
        aim = aim_of(UNMOUNT, leaked(host, pod, f"proc/self/root{where}"))

        cured(UNMOUNT, host, aim, root)

        assert not is_namespace(where)
        await_gone(host, near)


def test_a_mount_that_only_another_mount_namespace_has_is_unmounted_there(
    host: LiveHost, root: Path, pod: Sandbox, tmp_path: Path
) -> None:
    target = tmp_path / "away"
    target.touch()

    with veth(pod.pid) as near, elsewhere(pod.file, target) as pid:
        pod.stop()
        aim = aim_of(UNMOUNT, leaked(host, pod, f"proc/{pid}/root{target}"))
        cured(UNMOUNT, host, aim, root)

        await_gone(host, near)
        assert str(target) not in Path(f"/proc/{pid}/mountinfo").read_text()


def test_two_mounts_on_top_of_each_other_both_go(host: LiveHost, root: Path, pod: Sandbox) -> None:
    with forgotten_twice(pod) as where:
        aim = aim_of(UNMOUNT, leaked(host, pod, f"proc/self/root{where}"))

        cured(UNMOUNT, host, aim, root)

        assert not is_namespace(where)


def test_a_namespace_with_a_process_is_left_alone(host: LiveHost, pod: Sandbox) -> None:
    with forgotten(pod) as where:
        observation = leaked(host, pod, f"proc/self/root{where}")
        with entered(where):
            against = UNMOUNT.objection(host, aim_of(UNMOUNT, observation))

        assert "processes are inside" in against
        assert is_namespace(where)


def test_a_namespace_whose_pod_came_back_is_left_alone(
    host: LiveHost, root: Path, pod: Sandbox
) -> None:
    with forgotten(pod) as where:
        aim = aim_of(UNMOUNT, leaked(host, pod, f"proc/self/root{where}"))
        (root / PODS / UID).mkdir()

        assert UNMOUNT.objection(host, aim) == f"pod {POD.title} is on the node"


def test_a_namespace_whose_sandbox_lives_is_left_alone(
    host: LiveHost, root: Path, pod: Sandbox
) -> None:
    with forgotten(pod) as where:
        attached = Attached(netns=f"/var{where}", sandbox=LIVING)
        aim = aim_of(UNMOUNT, leaked(host, pod, f"proc/self/root{where}"))
        with stale_lease(root, attached):
            against = UNMOUNT.objection(host, aim)

    assert against == f"the CNI result of sandbox {LIVING[:13]} names {where}"


def test_a_namespace_that_is_also_open_is_left_alone(host: LiveHost, pod: Sandbox) -> None:
    with forgotten(pod) as where, opened(where) as pid:
        aim = aim_of(UNMOUNT, leaked(host, pod, f"proc/self/root{where}"))

        assert f"process {pid} has it open" in UNMOUNT.objection(host, aim)


def test_the_next_namespace_of_that_number_is_left_alone(host: LiveHost, pod: Sandbox) -> None:
    with forgotten(pod) as where:
        observation = leaked(host, pod, f"proc/self/root{where}")
        other = replace(observation, aim={"cookie": 1})

        against = UNMOUNT.objection(host, aim_of(UNMOUNT, other))

    assert against == "another namespace has its number by now"


def test_a_namespace_that_a_person_made_is_left_alone(host: LiveHost, pod: Sandbox) -> None:
    with forgotten(pod, f"/run/netns/khtest{uuid4().hex[:8]}") as where:
        observation = leaked(host, pod, f"proc/self/root{where}")
        subject = observation.subject.model_copy(update={"pod": None, "pod_uid": None})

        against = UNMOUNT.objection(host, aim_of(UNMOUNT, replace(observation, subject=subject)))

    assert against == "nothing proves that it was made for a pod that is gone"


def test_unmounting_spares_what_was_mounted_there_meanwhile(
    pod: Sandbox, root: Path, tmp_path: Path
) -> None:
    with forgotten(pod) as where:
        space = Path("/proc/self/ns/mnt").stat().st_ino
        deed = UnmountNamespaceFile(pod.inode + 1, where, os.getpid(), space)

        deed.do(str(root), str(tmp_path))

        assert is_namespace(where)


def test_unmounting_spares_another_namespace_with_the_same_inode_number(
    host: LiveHost, pod: Sandbox, root: Path, tmp_path: Path
) -> None:
    with forgotten(pod) as where:
        space = Path("/proc/self/ns/mnt").stat().st_ino
        cookie = host.cookie(f"proc/self/root{where}")
        assert cookie is not None
        another = UnmountNamespaceFile(pod.inode, where, os.getpid(), space, cookie + 1)
        itself = replace(another, cookie=cookie)

        another.do(str(root), str(tmp_path))
        spared = is_namespace(where)
        itself.do(str(root), str(tmp_path))

        assert spared
        assert not is_namespace(where)


def test_a_process_that_ended_meanwhile_has_no_mounts(
    pod: Sandbox, root: Path, tmp_path: Path
) -> None:
    with forgotten(pod) as where, process(lambda: None) as pid:
        space = Path(f"/proc/{pid}/ns/mnt").stat().st_ino
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

        UnmountNamespaceFile(pod.inode, where, pid, space).do(str(root), str(tmp_path))

        assert is_namespace(where)


def test_unmounting_is_refused_in_another_mount_namespace_than_was_judged(
    pod: Sandbox, root: Path, tmp_path: Path
) -> None:
    deed = UnmountNamespaceFile(pod.inode, "/nowhere", os.getpid(), 1)

    with pytest.raises(errors.AbsentError, match="another mount namespace"):
        deed.do(str(root), str(tmp_path))


@pytest.mark.parametrize("way", ["idle", "host"])
def test_a_link_of_a_pod_that_is_gone_is_deleted(way: str, host: LiveHost, root: Path) -> None:
    with abandoned_veth(fresh(), way) as name:
        aim = aim_of(DELETE_LINK, of_link(host, name))

        cured(DELETE_LINK, host, aim, root)

        assert name not in {link.name for link in links(host)}


def test_a_link_whose_other_end_is_in_use_is_left_alone(host: LiveHost, pod: Sandbox) -> None:
    name, where = fresh(), f"/run/netns/cni-{uuid4()}"
    with veth(pod.pid, name=name), forgotten(pod, where):
        observation = of_link(host, name)
        with entered(where):
            against = DELETE_LINK.objection(host, aim_of(DELETE_LINK, observation))

        assert against == "its other end is in use, or its pod may still be there"
        assert name in {link.name for link in links(host)}


def test_a_link_that_a_living_sandbox_was_given_is_left_alone(host: LiveHost, root: Path) -> None:
    with abandoned_veth(fresh(), "host") as name:
        aim = aim_of(DELETE_LINK, of_link(host, name))
        with stale_lease(root, Attached(link=name, sandbox=LIVING)):
            against = DELETE_LINK.objection(host, aim)

    assert against == "its other end is in use, or its pod may still be there"


def test_a_link_is_left_alone_where_no_runtime_lists_its_containers(
    host: LiveHost, root: Path
) -> None:
    with abandoned_veth(fresh(), "host") as name:
        aim = aim_of(DELETE_LINK, of_link(host, name))
        (root / "run/containerd/io.containerd.runtime.v2.task/k8s.io" / LIVING).rmdir()
        (root / "run/containerd/io.containerd.runtime.v2.task/k8s.io").rmdir()
        (root / "sys").unlink()

        assert "cannot be told which containers live" in DELETE_LINK.objection(host, aim)


def test_a_link_with_the_same_index_and_another_address_is_left_alone(host: LiveHost) -> None:
    with abandoned_veth(fresh(), "host") as name:
        (link,) = [each for each in links(host) if each.name == name]

        with pytest.raises(errors.UnreadableError, match="left alone"):
            DeleteLink(link.index, name, "02:00:00:00:00:01").do("/", "")

        assert name in {link.name for link in links(host)}


def test_a_finding_without_an_index_deletes_no_link(host: LiveHost) -> None:
    with abandoned_veth(fresh(), "host") as name:
        observation = replace(of_link(host, name), aim={})

        against = DELETE_LINK.objection(host, aim_of(DELETE_LINK, observation))

    assert "does not carry index, name, mac" in against


def of_address(host: LiveHost, address: str) -> Observation:
    (found,) = [each for each in residual(host) if address in each.subject.addresses]
    return found


def test_a_lease_and_its_result_are_put_away_and_not_lost(host: LiveHost, root: Path) -> None:
    attached = Attached(address="192.0.2.99")
    with stale_lease(root, attached) as lease:
        aim = aim_of(RELEASE, of_address(host, "192.0.2.99"))

        keep = cured(RELEASE, host, aim, root)

        assert not lease.exists()
        assert not [*(root / "var/lib/cni/results").iterdir()]
        kept = {path.name: path.read_bytes() for path in keep.iterdir()}
        assert f"{attached.sandbox}\r\neth0".encode() in kept.values()
        assert len(kept) == 2


def test_a_lease_is_not_touched_while_a_plugin_is_at_work(host: LiveHost, root: Path) -> None:
    with stale_lease(root, Attached(address="192.0.2.99")) as lease:
        aim = aim_of(RELEASE, of_address(host, "192.0.2.99"))
        (*_, deed) = RELEASE.deeds(host, aim)
        with (lease.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(BlockingIOError, match="a CNI plugin is at work"):
                deed.do(str(root), str(root))

        assert lease.exists()
        (lease.parent / "lock").unlink()


def test_a_lease_that_was_given_to_the_next_pod_is_left_alone(host: LiveHost, root: Path) -> None:
    with stale_lease(root, Attached(address="192.0.2.99")) as lease:
        aim = aim_of(RELEASE, of_address(host, "192.0.2.99"))
        (*_, deed) = RELEASE.deeds(host, aim)
        lease.write_text(f"{LIVING}\r\neth0", newline="")
        with pytest.raises(errors.UnreadableError, match="written anew"):
            deed.do(str(root), str(root))
        (lease.parent / "lock").unlink()

        assert lease.read_text().startswith(LIVING)


def test_a_lease_of_a_sandbox_that_lives_by_now_is_left_alone(host: LiveHost, root: Path) -> None:
    attached = Attached(address="192.0.2.99")
    with stale_lease(root, attached):
        aim = aim_of(RELEASE, of_address(host, "192.0.2.99"))
        tasks = root / "run/containerd/io.containerd.runtime.v2.task/k8s.io"
        (tasks / attached.sandbox).mkdir()

        against = RELEASE.objection(host, aim)

    assert against == "nothing keeps it any more, or its sandbox may still be there"


def test_a_lease_whose_address_is_on_an_interface_by_now_is_left_alone(
    host: LiveHost, root: Path, pod: Sandbox
) -> None:
    with stale_lease(root, Attached(address="192.0.2.99")):
        aim = aim_of(RELEASE, of_address(host, "192.0.2.99"))
        with stale_lease(root, Attached(address="192.0.2.98")), veth(pod.pid, "192.0.2.99/24"):
            (root / "var/lib/cni/networks/kernelhealth-fault/192.0.2.97").write_text("b" * 64)
            against = RELEASE.objection(host, aim)
            (root / "var/lib/cni/networks/kernelhealth-fault/192.0.2.97").unlink()

    assert against == f"192.0.2.99 is still on an interface in the network namespace {pod.inode}"


def test_the_rules_of_a_pod_that_is_gone_go_and_its_neighbours_stay(
    host: LiveHost, root: Path
) -> None:
    with pod_rules() as gone, pod_rules(900, 901) as other:
        aim = aim_of(RELEASE, of_address(host, gone))

        keep = cured(RELEASE, host, aim, root)

        assert left(gone) == 0
        assert left(other) == 2
        assert len([*keep.iterdir()]) == 2


@contextlib.contextmanager
def process(work: Callable[[], None]) -> Iterator[int]:
    """Run *work* in a process that then waits; yields its pid when the work is done."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        try:
            work()
            os.write(write, b"+")
            signal.pause()
        finally:
            os._exit(1)
    os.close(write)
    try:
        assert os.read(read, 1) == b"+"
        yield pid
    finally:
        os.close(read)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@contextlib.contextmanager
def entered(where: str) -> Iterator[int]:
    """Have a process in the namespace that is mounted at a path."""

    def enter() -> None:
        descriptor = os.open(where, os.O_RDONLY)
        if ctypes.CDLL(None).setns(descriptor, 0):
            raise OSError("setns")
        os.close(descriptor)

    with process(enter) as pid:
        yield pid


@contextlib.contextmanager
def opened(where: str) -> Iterator[int]:
    """Have a process with an open descriptor of the namespace that is mounted at a path."""

    def hold() -> None:
        os.open(where, os.O_RDONLY)

    with process(hold) as pid:
        yield pid


@contextlib.contextmanager
def elsewhere(file: str, target: Path) -> Iterator[int]:
    """Have a process that mounts a namespace in a mount namespace of its own."""

    def away() -> None:
        libc = ctypes.CDLL(None)
        if libc.unshare(_CLONE_NEWNS) or libc.mount(None, b"/", None, _MS_PRIVATE, None):
            raise OSError("unshare")
        bind(file, target)

    with process(away) as pid:
        yield pid


@contextlib.contextmanager
def forgotten_twice(pod: Sandbox) -> Iterator[str]:
    target = Path(f"/run/netns/cni-{uuid4()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch()
    bind(pod.file, target)
    bind(pod.file, target)
    pod.stop()
    try:
        yield str(target)
    finally:
        for _ in range(2):
            ctypes.CDLL(None).umount2(bytes(target), 2)
        target.unlink()
