"""A connection whose windows this kernel ignores is cured or ended; a slow reader is left alone.

The kernel's fault is made by its own means: in repair mode the writer says that it has received the
segment which set its window a gigabyte ahead, and a receive window that shrinks afterwards, which
``tcp_shrink_window`` of that namespace allows, leaves it there. It is then as 2^31 bytes in the
fast path of an old kernel would have left it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from kernelhealth_agent import errors, stalled_sockets
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.fixes.destroy_socket import FIX as DESTROY
from kernelhealth_agent.fixes.repair_socket import FIX as REPAIR
from kernelhealth_agent.hosts.deeds.sockets import DestroyTcpSocket, RepairTcpSocket
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import tcp_sockets
from kernelhealth_agent.kernel.tcp_sockets import Ends, TcpSocket
from kernelhealth_api.detector import Observation, Reason, Severity, Subject
from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import Sandbox, sandbox

STUCK = Reason("ConnectionStuckInPersist", Severity.WARNING, "It waits for ever.")
PATIENCE = 30.0
SIZE = 4 << 20
HANDS = "/proc/self/root"
"""The root directory of a process, as the agent reaches the host in its container."""
_TCP_REPAIR, _TCP_REPAIR_WINDOW, _TCP_REPAIR_QUEUE, _TCP_QUEUE_SEQ = 19, 29, 20, 21
_WINDOW = struct.Struct("=5I")
_AHEAD = 1 << 30


@dataclass(frozen=True, slots=True)
class Stall:
    """A writer and a reader that does not read, both processes of one namespace."""

    space: Sandbox
    writer: int
    ends: Ends
    to_writer: int
    to_reader: int
    said: int

    def spoil(self) -> None:
        """Let the writer's kernel take a window for newer than all that will be announced."""
        os.write(self.to_writer, b"s")
        assert told(self.said) == b"spoiled"

    def read(self) -> bytes:
        """Let the reader read all; return how many bytes came, or how it ended."""
        os.write(self.to_reader, b"r")
        return told(self.said)


def told(pipe: int) -> bytes:
    ready, _, _ = select.select([pipe], [], [], PATIENCE)
    assert ready, "a process of the connection said nothing"
    return os.read(pipe, 64)


@contextlib.contextmanager
def stall() -> Iterator[Stall]:
    with contextlib.ExitStack() as stack:
        space = stack.enter_context(sandbox())
        with held_namespace.inside(space.file):
            with IPRoute() as netlink:
                (index,) = netlink.link_lookup(ifname="lo")
                netlink.link("set", index=index, state="up")
            # proc/sys/net is of the network namespace of the thread that opens it.
            Path("/proc/sys/net/ipv4/tcp_shrink_window").write_text("1")
        said, say = stack.enter_context(pipe())
        orders = [stack.enter_context(pipe()) for _ in range(2)]
        stack.enter_context(process(space, lambda: reads(orders[1][0], say)))
        port = int(told(said))
        writer = stack.enter_context(process(space, lambda: writes(port, orders[0][0], say)))
        ends = Ends("127.0.0.1", int(told(said)), "127.0.0.1", port)
        yield Stall(space, writer, ends, orders[0][1], orders[1][1], said)


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


@contextlib.contextmanager
def process(space: Sandbox, work: Callable[[], None]) -> Iterator[int]:
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        try:
            with held_namespace.inside(space.file):
                work()
        finally:
            os._exit(1)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def reads(orders: int, say: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        os.write(say, str(listener.getsockname()[1]).encode())
        connection, _ = listener.accept()
    os.read(orders, 1)
    total = 0
    try:
        while total < SIZE and (part := connection.recv(1 << 16)):
            total += len(part)
        os.write(say, str(total).encode())
    except ConnectionResetError:
        os.write(say, b"reset")
    signal.pause()


def writes(port: int, orders: int, say: int) -> None:
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", port))
        connection.setblocking(False)
        os.write(say, str(connection.getsockname()[1]).encode())
        left = memoryview(bytes(SIZE))
        while left:
            ready, free, _ = select.select([orders], [connection], [])
            if ready:
                os.read(orders, 1)
                spoil(connection)
                os.write(say, b"spoiled")
            if free:
                left = left[connection.send(left) :]
        signal.pause()


def spoil(connection: socket.socket) -> None:
    tcp = socket.IPPROTO_TCP
    connection.setsockopt(tcp, _TCP_REPAIR, 1)
    connection.setsockopt(tcp, _TCP_REPAIR_QUEUE, 1)
    received = connection.getsockopt(tcp, _TCP_QUEUE_SEQ) % (1 << 32)
    connection.setsockopt(tcp, _TCP_REPAIR_QUEUE, 0)
    *_, wide = now = _WINDOW.unpack(connection.getsockopt(tcp, _TCP_REPAIR_WINDOW, _WINDOW.size))
    wanted = ((received + _AHEAD) % (1 << 32), 0, now[2], _AHEAD, wide)
    connection.setsockopt(tcp, _TCP_REPAIR_WINDOW, _WINDOW.pack(*wanted))
    connection.setsockopt(tcp, _TCP_REPAIR, -1)


@pytest.fixture
def host() -> LiveHost:
    return LiveHost("/")


def socket_of(host: LiveHost, made: Stall) -> TcpSocket | None:
    question = tcp_sockets.question(made.ends)
    with contextlib.suppress(errors.AbsentError):
        return tcp_sockets.answer(host.dump(question, made.space.file.lstrip("/")), question.name)
    return None


def awaited(good: Callable[[], bool]) -> None:
    """Nothing tells when the kernel's timers have fired."""
    until = time.monotonic() + PATIENCE
    while not good():
        assert time.monotonic() < until, "it did not come about"
        threading.Event().wait(0.05)


def waits(host: LiveHost, made: Stall) -> bool:
    now = socket_of(host, made)
    return now is not None and now.timer == tcp_sockets.PERSIST and not now.unacked


def aim_of(fix: Fix, host: LiveHost, made: Stall) -> Aim:
    """Return the aim as the detector is to give it, for a connection that stalls now."""
    awaited(lambda: waits(host, made))
    now = socket_of(host, made)
    assert now is not None
    assert now.acked is not None
    ends = made.ends
    here, there = f"{ends.local}:{ends.local_port}", f"{ends.peer}:{ends.peer_port}"
    observation = Observation(
        STUCK,
        f"{made.space.inode}/{now.cookie:x}",
        Subject(namespace=made.space.inode, addresses=(here, there)),
        "It is stuck.",
        cures=("RepairSocket", "DestroySocket"),
        aim={
            "local": ends.local,
            "localPort": ends.local_port,
            "peer": ends.peer,
            "peerPort": ends.peer_port,
            "cookie": now.cookie,
            "acked": now.acked,
        },
    )
    (aim,) = fix.aims([observation])
    return aim


def is_stale(host: LiveHost, made: Stall) -> bool:
    now = socket_of(host, made)
    assert now is not None
    return stalled_sockets.window(host, now, stalled_sockets.owners(host, now)) is True


@contextlib.contextmanager
def stuck(host: LiveHost) -> Iterator[Stall]:
    with stall() as made:
        awaited(lambda: waits(host, made))
        made.spoil()
        awaited(lambda: is_stale(host, made))
        os.write(made.to_reader, b"r")  # It reads everything, and announces room in vain.
        awaited(lambda: peer_is_idle(host, made))
        yield made


def peer_is_idle(host: LiveHost, made: Stall) -> bool:
    peer = socket_of(host, replace(made, ends=made.ends.turned))
    return peer is not None and not peer.unread


def do(fix: Fix, host: LiveHost, aim: Aim, tmp_path: Path) -> None:
    assert fix.objection(host, aim) == ""
    for deed in fix.deeds(host, aim):
        assert not deed.host_wide
        deed.do(HANDS, str(tmp_path))
    awaited(lambda: fix.achieved(host, aim))


def test_a_stuck_connection_goes_on_to_the_last_byte(host: LiveHost, tmp_path: Path) -> None:
    with stuck(host) as made:
        do(REPAIR, host, aim_of(REPAIR, host, made), tmp_path)

        assert told(made.said) == str(SIZE).encode()


def test_a_stuck_connection_is_ended_at_both_ends(host: LiveHost, tmp_path: Path) -> None:
    with stuck(host) as made:
        do(DESTROY, host, aim_of(DESTROY, host, made), tmp_path)

        assert socket_of(host, made) is None
        assert told(made.said) == b"reset"


@pytest.mark.parametrize("fix", [REPAIR, DESTROY], ids=lambda fix: fix.name)
def test_a_slow_reader_is_left_alone_and_gets_everything(fix: Fix, host: LiveHost) -> None:
    with stall() as made:
        against = fix.objection(host, aim_of(fix, host, made))

        assert against.endswith("it is a slow reader")
        assert made.read() == str(SIZE).encode()


@pytest.mark.parametrize("fix", [REPAIR, DESTROY], ids=lambda fix: fix.name)
def test_a_connection_that_went_on_by_itself_is_left_alone(fix: Fix, host: LiveHost) -> None:
    with stall() as made:
        aim = aim_of(fix, host, made)
        made.read()

        assert fix.objection(host, aim).startswith("its peer has acknowledged data since")


@pytest.mark.parametrize("fix", [REPAIR, DESTROY], ids=lambda fix: fix.name)
def test_another_socket_between_the_same_ends_is_left_alone(fix: Fix, host: LiveHost) -> None:
    with stall() as made:
        aim = aim_of(fix, host, made)
        changed = {**aim.observation.aim, "cookie": int(aim.observation.aim["cookie"]) + 1}
        other = replace(aim, observation=replace(aim.observation, aim=changed))

        assert fix.objection(host, other) == "there is no such connection any more"


def test_the_kernel_itself_refuses_to_end_a_socket_with_another_cookie(
    host: LiveHost, tmp_path: Path
) -> None:
    with stall() as made:
        awaited(lambda: waits(host, made))
        now = socket_of(host, made)
        assert now is not None
        file = made.space.file.lstrip("/")
        deed = DestroyTcpSocket(made.ends, now.cookie + 1, file, made.space.inode, "x")

        deed.do(HANDS, str(tmp_path))

        assert socket_of(host, made) is not None
        assert made.read() == str(SIZE).encode()


def test_a_connection_without_a_process_is_ended_where_its_peer_proves_it_stuck(
    host: LiveHost, tmp_path: Path
) -> None:
    with stuck(host) as made:
        aim = aim_of(DESTROY, host, made)
        os.kill(made.writer, signal.SIGKILL)
        awaited(lambda: is_nobodys(host, made))
        known = {**aim.observation.aim, "peerNamespace": made.space.inode}
        proven = replace(aim, observation=replace(aim.observation, aim=known))

        against = DESTROY.objection(host, aim)
        do(DESTROY, host, proven, tmp_path)

    assert against == "nothing proves any more that it is stuck: no process has it open"


def is_nobodys(host: LiveHost, made: Stall) -> bool:
    now = socket_of(host, made)
    return now is not None and not now.inode


def test_a_socket_that_somebody_else_has_open_too_is_not_repaired(
    host: LiveHost, tmp_path: Path
) -> None:
    with stall() as made:
        awaited(lambda: waits(host, made))
        now = socket_of(host, made)
        assert now is not None
        deed = RepairTcpSocket(now.inode, ((made.writer, 0),), "x")

        with pytest.raises(errors.UnreadableError, match="owners changed"):
            deed.do(HANDS, str(tmp_path))

        assert made.read() == str(SIZE).encode()
