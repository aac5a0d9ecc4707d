"""Real connections whose peer does not read, and ``snd_wl1`` read from real processes."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kernelhealth_agent import moments
from kernelhealth_agent.detectors import tcp_persist as detector
from kernelhealth_agent.hosts.connections import Connections
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.hosts.send_window import SendWindowProbe
from kernelhealth_agent.hosts.socket_owners import SocketOwners
from kernelhealth_agent.hosts.standstill import MovingError, standstill
from kernelhealth_agent.kernel import send_window, socket_owners
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.kernel.persist import Memory, Persist, Rules, Sample
from kernelhealth_agent.kernel.send_window import Refusal, SendWindow
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import tcp_persist as source
from kernelhealth_e2e.faults.zero_window import IPV4, IPV6, Stall, zero_window

TCP_REPAIR = 19
PATIENCE = 60.0
# A suspect within a second: whatever stalls at all is examined, each time.
EAGER = Rules(stalled=0.3, backoff=1, received=0, peer_empty=0.5, again=0.0)
PARAMS = detector.TcpPersistParams.model_validate(
    {"stalledAfter": "300ms", "minBackoff": 1, "receivedBytes": 0, "peerEmptyFor": "500ms"}
)
Looked = Callable[..., Sample]


@pytest.fixture
def looked(live: LiveHost, look: Callable[..., Inventory]) -> Looked:
    """Look at this machine by rules that make a suspect of whatever stalls."""

    def taken(memory: Memory | None = None, rules: Rules = EAGER) -> Sample:
        return source.looked(live, Occasion(look(), moments.now(), memory), rules)

    return taken


def of(sample: Sample, stall: Stall) -> list[Persist]:
    return [one for one in sample.persists if one.space.inode == stall.writer.inode]


def awaited(looked: Looked, good: Callable[[Sample], object]) -> Sample:
    """Look until a sample is *good*: nothing tells when the kernel's timer has fired."""
    until, memory = time.monotonic() + PATIENCE, None
    while time.monotonic() < until:
        sample = looked(memory)
        memory = sample.memory
        if good(sample):
            return sample
        threading.Event().wait(0.05)
    raise TimeoutError(f"not seen within {PATIENCE:g} s")


def stalled(looked: Looked, stall: Stall) -> Sample:
    return awaited(
        looked,
        lambda s: any(
            one.peer and isinstance(one.known.window, SendWindow) for one in of(s, stall)
        ),
    )


@pytest.mark.parametrize(("addresses", "family"), [(IPV4, 4), (IPV6, 6)], ids=["IPv4", "IPv6"])
def test_a_reader_that_never_reads_is_slow_and_never_stuck(
    addresses: tuple[str, str], family: int, looked: Looked
) -> None:
    with zero_window(addresses) as stall:
        sample = stalled(looked, stall)
        later = looked(sample.memory)

        for seen in (sample, later):
            found = [
                o for o in detector.judge(seen, PARAMS) if o.subject.namespace == stall.writer.inode
            ]
            assert [o.reason for o in found] == [detector.SLOW]
    (one,) = of(sample, stall)
    assert isinstance(one.known.window, SendWindow)
    assert not one.known.window.stale
    assert (":" in one.connection.local) == (family == 6)


def test_both_ends_are_named_with_their_processes(looked: Looked) -> None:
    with zero_window() as stall:
        sample = stalled(looked, stall)

    (one,) = of(sample, stall)
    assert [owner.pid for owner in one.known.owners] == [stall.writer_pid]
    assert [owner.pid for owner in one.known.peer_owners] == [stall.reader_pid]
    assert one.peer_space is not None
    assert one.peer_space.inode == stall.reader.inode
    assert one.peer is not None
    assert one.peer.unread > 0


def test_a_window_that_opens_again_ends_it(looked: Looked) -> None:
    with zero_window() as stall:
        sample = stalled(looked, stall)
        read = stall.read()
        after = looked(sample.memory)

        assert read == stall.size
        assert of(after, stall) == []
        assert f"{stall.writer.inode}/" not in " ".join(after.memory.known)


def test_a_namespace_that_probes_no_window_is_not_listed(looked: Looked) -> None:
    with zero_window() as stall:
        before = stalled(looked, stall)
        stall.read()
        looked(before.memory)
        settled = looked(looked(before.memory).memory)

        assert str(stall.writer.inode) in settled.memory.probes
        assert str(stall.reader.inode) in settled.memory.probes
        assert of(looked(settled.memory), stall) == []


def test_a_write_that_waits_is_not_cut_short_by_reading(looked: Looked) -> None:
    with zero_window(blocking=True) as stall:
        sample = stalled(looked, stall)
        for _ in range(50):
            sample = looked(sample.memory)

        assert isinstance(of(sample, stall)[0].known.window, SendWindow | Refusal)
        assert stall.read() == stall.size
        assert state(stall.writer_pid) != "Z"


@dataclass(frozen=True, slots=True)
class Pair:
    """Both ends of a connection on loopback; this process has a copy of each to look at."""

    near: socket.socket
    far: socket.socket

    @property
    def inode(self) -> int:
        return os.fstat(self.near.fileno()).st_ino


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    with near, far:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield Pair(near, far)


@contextlib.contextmanager
def process(work: Callable[[], None]) -> Iterator[int]:
    """Run *work* in a process of its own, which is killed with the context."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def idle() -> None:
    select.select([], [], [])


def asked(live: LiveHost, pair: Pair, *pids: int) -> SendWindow | Refusal:
    """Ask for the window of the near end."""
    owners = tuple((pid, pair.near.fileno()) for pid in pids)
    return answered(live, SendWindowProbe(pair.inode, owners))


def answered(live: LiveHost, probe: SendWindowProbe) -> SendWindow | Refusal:
    """Ask, and again where a loaded machine let nobody stop in time."""
    until = time.monotonic() + PATIENCE
    while True:
        answer = send_window.decode(live.probe(probe), probe.name)
        late = isinstance(answer, Refusal) and "did not stop within" in answer.why
        if not late or time.monotonic() > until:
            return answer


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextlib.contextmanager
def still(pid: int) -> Iterator[None]:
    """Keep a process still; tried again where a loaded machine did not let it stop in time."""
    until = time.monotonic() + PATIENCE
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(standstill("/", [pid]))
                break
            except MovingError as error:
                if "did not stop within" not in str(error) or time.monotonic() > until:
                    raise
        yield


def send(end: socket.socket, chunk: bytes, times: int) -> None:
    for _ in range(times):
        end.sendall(chunk)
    end.shutdown(socket.SHUT_WR)
    idle()


def digest(end: socket.socket, tell: int) -> None:
    found = hashlib.sha256()
    while part := end.recv(1 << 18):
        found.update(part)
    os.write(tell, found.digest())
    idle()


def test_a_hundred_readings_leave_a_transfer_of_100_megabytes_as_it_was(
    live: LiveHost, pair: Pair
) -> None:
    chunk, times = os.urandom(1 << 20), 100
    told, tell = os.pipe()
    sender, receiver = replace(pair), Pair(pair.far, pair.near)
    with (
        process(lambda: send(pair.near, chunk, times)) as writer,
        process(lambda: digest(pair.far, tell)) as reader,
    ):
        answers = [asked(live, sender, writer) for _ in range(50)]
        answers += [asked(live, receiver, reader) for _ in range(50)]
        ready, _, _ = select.select([told], [], [], PATIENCE)
        arrived = os.read(told, 32) if ready else b""
    os.close(told)
    os.close(tell)

    assert {type(answer) for answer in answers} == {SendWindow}
    assert not any(answer.stale for answer in answers if isinstance(answer, SendWindow))
    assert arrived == hashlib.sha256(chunk * times).digest()


def test_a_reading_leaves_repair_mode_and_the_options_of_the_socket(
    live: LiveHost, pair: Pair
) -> None:
    with process(idle) as pid:
        answer = asked(live, pair, pid)

    assert isinstance(answer, SendWindow)
    assert pair.near.getsockopt(socket.IPPROTO_TCP, TCP_REPAIR) == 0
    assert pair.near.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1


def test_what_was_left_in_repair_mode_is_healed(live: LiveHost, pair: Pair) -> None:
    pair.near.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)

    with process(idle) as pid:
        answer = asked(live, pair, pid)

    assert isinstance(answer, SendWindow)
    assert pair.near.getsockopt(socket.IPPROTO_TCP, TCP_REPAIR) == 0
    pair.far.sendall(b"x")
    assert pair.near.recv(1) == b"x"


def test_snd_wl1_is_what_came_in_last(live: LiveHost, pair: Pair) -> None:
    with process(idle) as pid:
        before = asked(live, pair, pid)
        pair.far.sendall(bytes(5000))
        pair.near.recv(5000, socket.MSG_WAITALL)
        pair.near.sendall(b"x")
        pair.far.recv(1)
        after = asked(live, pair, pid)

    assert isinstance(before, SendWindow)
    assert isinstance(after, SendWindow)
    assert (after.rcv_wup - before.rcv_wup) % (1 << 32) == 5000
    assert after.behind <= 5000


def test_a_socket_that_two_processes_share_has_both_as_owners(live: LiveHost, pair: Pair) -> None:
    probe = SocketOwners(frozenset({pair.inode}))
    with process(idle) as one, process(idle) as two:
        owners = socket_owners.decode(live.probe(probe), probe.name)[pair.inode]
        answer = asked(live, pair, one, two)

    assert {one, two, os.getpid()} == {owner.pid for owner in owners}
    assert isinstance(answer, SendWindow)


def test_an_owner_that_died_is_no_obstacle_to_the_other(live: LiveHost, pair: Pair) -> None:
    with process(idle) as alive, process(idle) as dead:
        os.kill(dead, signal.SIGKILL)
        os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)
        answers = [asked(live, pair, alive, dead), asked(live, pair, dead, alive)]

    assert {type(answer) for answer in answers} == {SendWindow}


def test_without_a_living_owner_nothing_is_read(live: LiveHost, pair: Pair) -> None:
    with process(idle) as dead:
        os.kill(dead, signal.SIGKILL)
        os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)
        answer = asked(live, pair, dead)

    assert isinstance(answer, Refusal)


def test_a_descriptor_that_is_another_sockets_now_is_left_alone(live: LiveHost, pair: Pair) -> None:
    with process(idle) as pid:
        answer = answered(live, SendWindowProbe(pair.inode, ((pid, pair.far.fileno()),)))

    assert answer == Refusal("its owners changed meanwhile")


def test_the_agents_own_and_nobodys_sockets_are_left_alone(live: LiveHost, pair: Pair) -> None:
    assert isinstance(asked(live, pair, os.getpid()), Refusal)
    assert isinstance(asked(live, pair), Refusal)


def settled(pid: int) -> str:
    """The state of a process that does not run: let go, it runs in the kernel until it stops."""
    until = time.monotonic() + PATIENCE
    while (found := state(pid)) == "R" and time.monotonic() < until:
        os.sched_yield()
    return found


def test_a_process_that_was_stopped_stays_stopped(live: LiveHost, pair: Pair) -> None:
    with process(idle) as pid:
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        answer = asked(live, pair, pid)

        assert isinstance(answer, SendWindow)
        assert settled(pid) == "T"


def test_a_process_that_somebody_traces_is_left_alone(live: LiveHost, pair: Pair) -> None:
    with process(idle) as pid:
        ready, go = os.pipe()

        def trace() -> None:
            os.write(go, b"+" if ctypes.CDLL(None).ptrace(0x4206, pid, None, None) == 0 else b"-")
            idle()

        with process(trace):
            traced = os.read(ready, 1)
            answer = asked(live, pair, pid)
        os.close(ready)
        os.close(go)

    assert traced == b"+"
    assert answer == Refusal(f"thread {pid} cannot be stopped: Operation not permitted")


def test_all_threads_stand_still_and_run_again() -> None:
    told, tell = os.pipe()

    def busy() -> None:
        for _ in range(8):
            threading.Thread(target=idle, daemon=True).start()
        os.write(tell, b"+")
        while True:
            os.getppid()

    with process(busy) as pid:
        os.read(told, 1)
        tids = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
        seen: list[set[str]] = []

        def hold() -> None:
            with still(pid):
                seen.append({state(tid) for tid in tids})

        thread = threading.Thread(target=hold)
        thread.start()
        thread.join(PATIENCE)
        os.close(told)
        os.close(tell)

        assert len(tids) == 9
        assert seen == [{"t"}]
        assert "t" not in {state(tid) for tid in tids}


def test_an_agent_that_is_killed_leaves_nobody_stopped() -> None:
    told, tell = os.pipe()
    with process(idle) as pid:

        def hold() -> None:
            with still(pid):
                os.write(tell, state(pid).encode())
                idle()

        with process(hold):
            ready, _, _ = select.select([told], [], [], 2 * PATIENCE)
            held = os.read(told, 1) if ready else b""
        os.close(told)
        os.close(tell)

        assert held == b"t"
        assert state(pid) in {"R", "S"}


def test_readings_leave_no_descriptor_and_no_thread_behind(live: LiveHost, pair: Pair) -> None:
    with process(idle) as pid:
        asked(live, pair, pid)
        opened, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
        for _ in range(200):
            asked(live, pair, pid)

    # A thread of an earlier test may have ended meanwhile.
    assert len(list(Path("/proc/self/fd").iterdir())) <= opened
    assert threading.active_count() <= threads


def test_the_command_line_stalls_the_same_way(looked: Looked) -> None:
    command = [sys.executable, "-m", zero_window.__module__]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=paths
    ) as child:
        assert child.stdout is not None
        writer = int(child.stdout.readline().split()[1].rstrip(b","))
        inode = Path(f"/proc/{writer}/ns/net").stat().st_ino
        sample = awaited(looked, lambda s: any(one.space.inode == inode for one in s.persists))
        child.communicate()

    assert [one.space.inode for one in sample.persists if one.space.inode == inode] == [inode]


def test_too_many_threads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernelhealth_agent.hosts.standstill._MOST_THREADS", 0)

    with (
        process(idle) as pid,
        pytest.raises(MovingError, match="more than 0 threads"),
        standstill("/", [pid]),
    ):
        pass


def test_connections_are_listed_as_the_kernel_has_them(
    live: LiveHost, look: Callable[..., Inventory], pair: Pair
) -> None:
    inventory = look()

    found = list(Connections(live, inventory.host.inode).of(inventory.host))

    (near,) = [one for one in found if one.inode == pair.inode]
    assert (near.local, near.local_port) == pair.near.getsockname()
    assert (near.peer, near.peer_port) == pair.near.getpeername()
    assert near.cookie == int.from_bytes(pair.near.getsockopt(socket.SOL_SOCKET, 57, 8), "little")
    assert [one for one in found if one.ends == near.far_ends]
