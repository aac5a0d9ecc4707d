"""What is healthy and looks like a leak: nothing is said of it, by none of the detectors.

Other programs run on the machine, so that every test asks only about what it made itself.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from kernelhealth_agent import attribution, catalogue, confirmation, looking, moments, state
from kernelhealth_agent import thresholds as limits
from kernelhealth_agent.detectors.network_namespaces import LEAKED
from kernelhealth_agent.examination import Examiner, Knowledge, Outcome
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel.namespaces import Pod, Remembered
from kernelhealth_agent.survey import Surveyor
from kernelhealth_api.detector import Observation
from kernelhealth_e2e import cgroups
from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.abandoned_veth import link_name
from kernelhealth_e2e.faults.named_namespace import named_namespace
from kernelhealth_e2e.faults.namespace import Sandbox, sandbox
from kernelhealth_e2e.faults.stale_lease import Attached, stale_lease
from kernelhealth_e2e.faults.veth import await_gone, cut, veth

CLONE_NEWUSER = 0x10000000
LIVING = "a" * 64
UID = "8a7f0000-0000-4000-8000-000000000007"
POD = Pod("shop", "cart-7", UID, "cgroup")
LIVE = LiveHost("/")


@dataclass(frozen=True, slots=True)
class Own:
    """What a test made: inode numbers and ids of namespaces, names of links, paths of files.

    *pods* are UIDs. *shared* are namespaces of others, too, of whom anything may be true: what is
    meant is only that one of them leaked.
    """

    inodes: frozenset[int] = frozenset()
    nsids: frozenset[int] = frozenset()
    links: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    pods: frozenset[str] = frozenset()
    shared: frozenset[int] = frozenset()

    def among(self, observations: list[Observation]) -> list[Observation]:
        return [o for o in observations if self._is_meant(o)]

    def _is_meant(self, observation: Observation) -> bool:
        subject = observation.subject
        return (
            subject.namespace in self.inodes
            or subject.nsid in self.nsids
            or bool(self.links.intersection(subject.interfaces))
            or subject.file in self.files
            or subject.pod_uid in self.pods
            or (subject.namespace in self.shared and observation.reason is LEAKED)
        )


def own(*files: str, links: tuple[str, ...] = ()) -> Own:
    """The namespaces behind files, now that they exist, and links."""
    paths = [file.lstrip("/") for file in files]
    return Own(
        frozenset(LIVE.inode(path) for path in paths),
        frozenset(nsid for nsid in LIVE.nsids(paths) if nsid is not None),
        frozenset(links),
        frozenset(files),
    )


@dataclass
class Agent:
    """All detectors, on this machine with some files of its own; each look knows the earlier."""

    root: Path
    knowledge: Knowledge = field(default_factory=Knowledge)
    outcome: Outcome | None = None
    examiner: Examiner = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        surveyor = Surveyor(attribution.Places(), every=0.0)
        host = LiveHost(str(self.root))
        self.examiner = looking.examiner(host, catalogue.every(), surveyor, 60.0)

    def look(self) -> list[Observation]:
        """What all detectors observe now; a detector that could not look is no silence."""
        chosen = limits.in_force(self.examiner.rounds.detectors, {}, timedelta(0))
        self.outcome = self.examiner.examine(self.knowledge, chosen, moments.now())
        self.knowledge = self.outcome.knowledge
        failures = [look.failure for look in self.outcome.round.looks if look.failure]
        assert all(failure.reason == "NotAvailable" for failure in failures), failures
        spoke = {look.detector.name for look in self.outcome.round.looks if not look.failure}
        assert {"network_namespaces", "residual_links", "gssproxy"} <= spoke
        return [o for look in self.outcome.round.looks for o in look.observations]

    def confirmed(self) -> list[Observation]:
        """What is observed now and was in the look before, if its reason needs that."""
        found = self.look()
        watches = self.knowledge.watches.values()
        lasting = {name for w in watches for name, seen in w.sightings.items() if seen.rounds > 1}
        return [o for o in found if not o.reason.confirm or confirmation.identity(o) in lasting]

    def remember(self, pod: Sandbox, inode: int | None = None) -> None:
        """Know the pod of a sandbox, as the agent does that saw its processes."""
        (nsid,) = LIVE.nsids([pod.file.lstrip("/")])
        cookie = LIVE.cookie(pod.file.lstrip("/"))
        seen = moments.now().wall
        past = Remembered(inode or pod.inode, nsid, POD, LIVING, seen, cookie)
        self.knowledge = Knowledge({past.inode: past})


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent on a node that runs the pod UID with the sandbox LIVING."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "run").mkdir()
    for name in ("proc", "sys", "run/netns"):
        (root / name).symlink_to(f"/{name}")
    (root / "run/containerd/io.containerd.runtime.v2.task/k8s.io" / LIVING).mkdir(parents=True)
    (root / "var/lib/kubelet/pods" / UID).mkdir(parents=True)
    return Agent(root)


def fresh(prefix: str = "veth") -> str:
    return f"{prefix}{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def person(*, connected: bool) -> Iterator[Own]:
    """``ip netns add``, and with a veth pair into it."""
    name, link = fresh("khtest"), fresh()
    with named_namespace(name) as where:
        try:
            if connected:
                with IPRoute() as netlink:
                    peer = {"ifname": "eth0", "net_ns_fd": name}
                    netlink.link("add", ifname=link, kind="veth", peer=peer)
            yield own(where, links=(link,))
        finally:
            cut(link)


@contextlib.contextmanager
def private_network() -> Iterator[Own]:
    """A service with PrivateNetwork=yes: its process has nothing but a loopback."""
    with sandbox() as service:
        yield own(service.file)


@contextlib.contextmanager
def user_namespace() -> Iterator[Own]:
    """``unshare -Urn``."""
    with sandbox(CLONE_NEWUSER) as shell:
        yield own(shell.file)


@contextlib.contextmanager
def in_cgroup(path: str, pid: int) -> Iterator[None]:
    """Put a process into a control group of that path, below a group of ours."""
    top = f"khtest-{uuid.uuid4().hex[:8]}"
    hierarchy = cgroups.hierarchies()[0]
    try:
        (hierarchy / top / path).mkdir(parents=True)
        (hierarchy / top / path / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            (hierarchy / "cgroup.procs").write_text(str(pid))
        cgroups.remove(top)


@contextlib.contextmanager
def docker() -> Iterator[Own]:
    """A container of another runtime: process, mounted namespace, veth, group of its own."""
    with ExitStack() as stack:
        container = stack.enter_context(sandbox())
        link = stack.enter_context(veth(container.pid, "192.0.2.8/24", fresh()))
        where = f"/run/docker-khtest/netns/{uuid.uuid4().hex[:12]}"
        stack.callback(Path(where).parents[1].rmdir)
        stack.callback(Path(where).parent.rmdir)
        stack.enter_context(held_namespace.mount(container.file, where))
        stack.enter_context(in_cgroup(f"docker/{'d' * 64}", container.pid))
        yield own(container.file, where, links=(link,))


@contextlib.contextmanager
def host_network_pod() -> Iterator[Own]:
    """A pod in the host's network, which the kubelet has not got any more."""
    gone = "8a7f0000-0000-4000-8000-00000000dead"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        with in_cgroup(f"kubepods/besteffort/pod{gone}/{'e' * 64}", process.pid):
            host = LIVE.inode(f"proc/{process.pid}/ns/net")
            yield Own(pods=frozenset({gone}), shared=frozenset({host}))
        process.communicate()


@contextlib.contextmanager
def pair_in_the_host() -> Iterator[Own]:
    """Both ends of a veth pair where they were made."""
    near, far = fresh(), fresh()
    with IPRoute() as netlink:
        netlink.link("add", ifname=near, kind="veth", peer={"ifname": far})
    try:
        yield own(links=(near, far))
    finally:
        cut(near)


@contextlib.contextmanager
def virtual_machine() -> Iterator[Own]:
    """A bridge with the tap of a virtual machine."""
    bridge, tap = fresh("khbr"), fresh("khtap")
    with IPRoute() as netlink:
        netlink.link("add", ifname=bridge, kind="bridge")
    try:
        subprocess.run(["ip", "tuntap", "add", "dev", tap, "mode", "tap"], check=True)
        subprocess.run(["ip", "link", "set", tap, "master", bridge], check=True)
        yield own(links=(bridge, tap))
    finally:
        cut(tap)
        cut(bridge)


@contextlib.contextmanager
def thread_elsewhere() -> Iterator[Own]:
    """A process with one thread in a namespace that nothing else reaches."""
    there, end = threading.Event(), threading.Event()
    with sandbox() as made, veth(made.pid, name=fresh()) as link:

        def stay() -> None:
            with held_namespace.inside(made.file):
                there.set()
                end.wait()

        thread = threading.Thread(target=stay)
        thread.start()
        try:
            assert there.wait(60)
            seen = own(made.file, links=(link,))
            made.stop()
            yield seen
        finally:
            end.set()
            thread.join()


_LEADERLESS = """
import ctypes, os, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
assert not libc.unshare(0x40000000)
main = threading.get_native_id()
def go_on():
    # The first thread is a zombie once it is in no namespace any more.
    while os.path.lexists(f"/proc/self/task/{main}/ns/net") and not ended():
        os.sched_yield()
    print(threading.get_native_id(), flush=True)
    sys.stdin.read()
    os._exit(0)
def ended():
    with open(f"/proc/self/task/{main}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "Z"
threading.Thread(target=go_on).start()
libc.pthread_exit(None)
"""


@contextlib.contextmanager
def first_thread_ended() -> Iterator[Own]:
    """A process that goes on without its first thread, in a namespace of its own."""
    with (
        _child([sys.executable, "-c", _LEADERLESS]) as said,
        veth(int(said), name=fresh()) as link,
    ):
        yield own(f"/proc/{int(said)}/ns/net", links=(link,))


@contextlib.contextmanager
def mounted_elsewhere() -> Iterator[Own]:
    """A namespace that is only mounted, in the mount namespace of a process in the host's."""
    with sandbox() as made, veth(made.pid, name=fresh()) as link:
        script = (
            "mount -t tmpfs none /mnt && touch /mnt/held && "
            f'mount --bind {made.file} /mnt/held && echo "$$" && cat'
        )
        with _child(["unshare", "--mount", "sh", "-c", script]):
            seen = own(made.file, links=(link,))
            made.stop()
            yield seen


@contextlib.contextmanager
def mounted_over() -> Iterator[Own]:
    """A mounted namespace with something else mounted over it, so that it cannot be opened."""
    with sandbox() as made, veth(made.pid, name=fresh()) as link:
        script = (
            "mount -t tmpfs none /mnt && touch /mnt/held && "
            f"mount --bind {made.file} /mnt/held && "
            'mount -t tmpfs none /mnt && echo "$$" && cat'
        )
        with _child(["unshare", "--mount", "sh", "-c", script]):
            seen = own(made.file, links=(link,))
            made.stop()
            yield seen


@contextlib.contextmanager
def stacked() -> Iterator[Own]:
    """Two namespaces mounted at one place: only the upper one can be opened."""
    with ExitStack() as stack:
        lower, upper = stack.enter_context(sandbox()), stack.enter_context(sandbox())
        links = tuple(stack.enter_context(veth(s.pid, name=fresh())) for s in (lower, upper))
        script = (
            "mount -t tmpfs none /mnt && touch /mnt/held && "
            f"mount --bind {lower.file} /mnt/held && mount --bind {upper.file} /mnt/held && "
            'echo "$$" && cat'
        )
        stack.enter_context(_child(["unshare", "--mount", "sh", "-c", script]))
        seen = own(lower.file, upper.file, links=links)
        lower.stop()
        upper.stop()
        yield seen


@contextlib.contextmanager
def descriptor_of_a_process() -> Iterator[Own]:
    """A namespace of no pod that a process has open, as a VPN or a monitoring program does."""
    with sandbox() as made, veth(made.pid, name=fresh()) as link:
        command = [sys.executable, "-m", "kernelhealth_e2e.faults.held_namespace"]
        with _child([*command, "descriptor", str(made.pid)]):
            seen = own(made.file, links=(link,))
            made.stop()
            yield seen


@contextlib.contextmanager
def _child(command: list[str]) -> Iterator[str]:
    """Run a program until the context ends; yields the first line that it says."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line
        try:
            yield line
        finally:
            child.communicate()


LOOK_ALIKES: dict[str, Callable[[], AbstractContextManager[Own]]] = {
    "a namespace that a person made": lambda: person(connected=False),
    "a namespace that a person made and connected": lambda: person(connected=True),
    "a service with a private network": private_network,
    "a user namespace's": user_namespace,
    "a container of another runtime": docker,
    "a pod in the host's network": host_network_pod,
    "a veth pair with both ends in the host": pair_in_the_host,
    "the tap of a virtual machine": virtual_machine,
    "a thread in a namespace of its own": thread_elsewhere,
    "a process whose first thread ended": first_thread_ended,
    "a mount in a private mount namespace": mounted_elsewhere,
    "a mount below another mount": mounted_over,
    "a mount below another namespace": stacked,
    "a descriptor of a process": descriptor_of_a_process,
}


def test_the_same_looks_find_a_leak(agent: Agent) -> None:
    with (
        sandbox() as pod,
        veth(pod.pid, name=fresh()) as link,
        held_namespace.socket_in_flight(pod.file),
    ):
        seen = own(pod.file, links=(link,))
        pod.stop()
        agent.look()
        found = seen.among(agent.confirmed())

    assert {o.reason.name for o in found} == {"NetworkNamespaceLeaked", "ResidualPodLink"}


@pytest.mark.parametrize("look_alike", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_nothing_is_said_of(
    look_alike: Callable[[], AbstractContextManager[Own]], agent: Agent
) -> None:
    with look_alike() as made:
        first, second = made.among(agent.look()), made.among(agent.look())

    assert [o.message for o in (*first, *second)] == []


@pytest.mark.parametrize("plugin", ["bridge", "calico"])
def test_nothing_is_said_of_a_pod_in_the_middle_of_cni_add(plugin: str, agent: Agent) -> None:
    name = f"cni-{uuid.uuid4()}"
    link = fresh() if plugin == "bridge" else link_name("shop", uuid.uuid4().hex)
    with named_namespace(name) as where:
        try:
            with IPRoute() as netlink:
                peer = {"ifname": "eth0", "net_ns_fd": name}
                netlink.link("add", ifname=link, kind="veth", peer=peer)
            made = own(where, links=(link,))
            found = made.among([*agent.look(), *agent.look()])
        finally:
            cut(link)

    assert [o.message for o in found] == []


def test_nothing_is_said_of_a_pod_in_the_middle_of_cni_del(agent: Agent) -> None:
    where = f"/run/netns/cni-{uuid.uuid4()}"
    attached = Attached(link=fresh(), netns=f"/var{where}", sandbox=LIVING)
    with (
        sandbox() as pod,
        veth(pod.pid, name=attached.link),
        held_namespace.mount(pod.file, where),
        stale_lease(agent.root, attached),
    ):
        agent.remember(pod)
        made = own(where, links=(attached.link,))
        pod.stop()
        with_link = made.among([*agent.look(), *agent.look()])
        cut(attached.link)
        without_link = made.among([*agent.look(), *agent.look()])

    assert [o.message for o in (*with_link, *without_link)] == []


def test_a_pod_that_was_deleted_in_time_is_not_confirmed(agent: Agent) -> None:
    link = fresh()
    with sandbox() as pod, veth(pod.pid, name=link):
        agent.remember(pod)
        (agent.root / "var/lib/kubelet/pods" / UID).rmdir()
        during = own(pod.file).among(agent.look())
        made = own(links=(link,))
        pod.stop()
        await_gone(link)
        found = made.among(agent.confirmed())

    assert [o.cause for o in during] == ["HeldByProcess"]
    assert [o.message for o in found] == []


def test_namespaces_that_are_being_torn_down_are_not_confirmed(agent: Agent) -> None:
    with ExitStack() as stack:
        pods = [stack.enter_context(sandbox()) for _ in range(64)]
        links = tuple(stack.enter_context(veth(pod.pid, name=fresh())) for pod in pods)
        made = own(links=links)
        for pod in pods:
            pod.stop()
        agent.look()
        await_gone(*links)
        found = made.among(agent.confirmed())

    assert [o.message for o in found] == []


def test_a_burst_of_200_sandboxes_leaves_nothing_to_say(agent: Agent) -> None:
    links: list[str] = []
    for _ in range(8):
        with ExitStack() as stack:
            pods = [stack.enter_context(sandbox()) for _ in range(25)]
            links += [stack.enter_context(veth(pod.pid, name=fresh())) for pod in pods[::5]]
            agent.look()
            for pod in pods:
                pod.stop()
    await_gone(*links)

    found = own(links=tuple(links)).among(agent.confirmed())

    assert [o.message for o in found] == []


def test_a_living_pod_stays_healthy_when_the_agent_restarts(agent: Agent, tmp_path: Path) -> None:
    boot = LIVE.read("proc/sys/kernel/random/boot_id").decode().strip()
    with sandbox() as pod, veth(pod.pid, name=fresh()) as link:
        agent.remember(pod)
        made = own(pod.file, links=(link,))
        before = made.among(agent.look())
        state.save(tmp_path, state.State(boot_id=boot, knowledge=agent.knowledge))
        agent.knowledge = state.load(tmp_path, boot).knowledge
        agent.restart()
        after = made.among([*agent.look(), *agent.look()])

    assert agent.knowledge.namespaces[pod.inode].pod.title == "shop/cart-7"
    assert [o.message for o in (*before, *after)] == []


def test_the_next_namespace_with_the_inode_number_of_a_gone_pods_is_no_leak(agent: Agent) -> None:
    """The kernel gives the numbers away again, here it is the test that does."""
    (agent.root / "var/lib/kubelet/pods" / UID).rmdir()
    with sandbox() as former, sandbox() as service:
        agent.remember(former, inode=service.inode)
        former.stop()

        found = own(service.file).among([*agent.look(), *agent.look()])

    assert [o.message for o in found] == []
    assert service.inode not in agent.knowledge.namespaces


def test_a_descriptor_that_the_agent_itself_had_open_is_not_confirmed(agent: Agent) -> None:
    with sandbox() as pod, veth(pod.pid, name=fresh()) as link:
        made = own(links=(link,))
        with held_namespace.descriptor(pod.file):
            pod.stop()
            agent.look()
        await_gone(link)

        found = made.among(agent.confirmed())

    assert [o.message for o in found] == []


def test_a_kernel_whose_rpc_client_no_gssproxy_was_told_of_is_healthy(agent: Agent) -> None:
    """Most kernels have not even loaded auth_rpcgss."""
    with sandbox() as pod:
        made = own(pod.file)
        found = made.among(agent.look())

    assert agent.outcome is not None
    (look,) = [look for look in agent.outcome.round.looks if look.detector.name == "gssproxy"]
    assert look.failure is None
    assert [o.message for o in found] == []
