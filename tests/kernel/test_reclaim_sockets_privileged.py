"""A connection whose windows this kernel ignores is cured or ended; a slow reader is left alone."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kernelhealth_agent import errors, stalled_sockets
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.fixes.destroy_socket import FIX as DESTROY
from kernelhealth_agent.fixes.repair_socket import FIX as REPAIR
from kernelhealth_agent.hosts.deeds import Deed
from kernelhealth_agent.hosts.deeds.sockets import DestroyTcpSocket, RepairTcpSocket
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import tcp_sockets
from kernelhealth_agent.kernel.tcp_sockets import Ends, TcpSocket
from kernelhealth_api.detector import Observation, Reason, Severity, Subject
from kernelhealth_e2e.faults.peers import PATIENCE, told
from kernelhealth_e2e.faults.stale_window import SIZE, Stall, stall

STUCK = Reason("ConnectionStuckInPersist", Severity.WARNING, "It waits for ever.")
HANDS = "/proc/self/root"
"""The root directory of a process, as the agent reaches the host in its container."""


@pytest.fixture
def host() -> LiveHost:
    return LiveHost("/")


def ends_of(made: Stall) -> Ends:
    writer, reader = made.ports
    return Ends("127.0.0.1", writer, "127.0.0.1", reader)


def socket_of(host: LiveHost, made: Stall) -> TcpSocket | None:
    question = tcp_sockets.question(ends_of(made))
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
    ends = ends_of(made)
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
    peer = socket_of(host, replace(made, ports=made.ports[::-1]))
    return peer is not None and not peer.unread


def is_late(why: str) -> bool:
    """Whether a loaded machine did not let a process stop in time: that is to be tried again."""
    return "did not stop within" in why


def objection(fix: Fix, host: LiveHost, aim: Aim) -> str:
    until = time.monotonic() + PATIENCE
    while is_late(why := fix.objection(host, aim)) and time.monotonic() < until:
        pass
    return why


def done(deed: Deed, tmp_path: Path) -> None:
    """Do a deed; raises what it raises for any other reason than a process that is late."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            deed.do(HANDS, str(tmp_path))
        except errors.UnreadableError as error:
            if not is_late(str(error)) or time.monotonic() > until:
                raise
        else:
            return


def do(fix: Fix, host: LiveHost, aim: Aim, tmp_path: Path) -> None:
    assert objection(fix, host, aim) == ""
    for deed in fix.deeds(host, aim):
        assert not deed.host_wide
        done(deed, tmp_path)
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
        against = objection(fix, host, aim_of(fix, host, made))

        assert against.endswith("it is a slow reader")
        assert made.read() == str(SIZE).encode()


@pytest.mark.parametrize("fix", [REPAIR, DESTROY], ids=lambda fix: fix.name)
def test_a_connection_that_went_on_by_itself_is_left_alone(fix: Fix, host: LiveHost) -> None:
    with stall() as made:
        aim = aim_of(fix, host, made)
        made.read()

        assert objection(fix, host, aim).startswith("its peer has acknowledged data since")


@pytest.mark.parametrize("fix", [REPAIR, DESTROY], ids=lambda fix: fix.name)
def test_another_socket_between_the_same_ends_is_left_alone(fix: Fix, host: LiveHost) -> None:
    with stall() as made:
        aim = aim_of(fix, host, made)
        changed = {**aim.observation.aim, "cookie": int(aim.observation.aim["cookie"]) + 1}
        other = replace(aim, observation=replace(aim.observation, aim=changed))

        assert objection(fix, host, other) == "there is no such connection any more"


def test_the_kernel_itself_refuses_to_end_a_socket_with_another_cookie(
    host: LiveHost, tmp_path: Path
) -> None:
    with stall() as made:
        awaited(lambda: waits(host, made))
        now = socket_of(host, made)
        assert now is not None
        file = made.space.file.lstrip("/")
        deed = DestroyTcpSocket(ends_of(made), now.cookie + 1, file, made.space.inode, "x")

        deed.do(HANDS, str(tmp_path))

        assert socket_of(host, made) is not None
        assert made.read() == str(SIZE).encode()


def test_a_socket_with_another_cookie_is_not_repaired(host: LiveHost, tmp_path: Path) -> None:
    with stall() as made:
        awaited(lambda: waits(host, made))
        now = socket_of(host, made)
        assert now is not None
        deed = RepairTcpSocket(now.inode, now.cookie + 1, stalled_sockets.owners(host, now), "x")

        with pytest.raises(errors.UnreadableError, match="owners changed"):
            done(deed, tmp_path)

        assert made.read() == str(SIZE).encode()


def test_a_socket_that_goes_on_by_now_is_not_repaired(host: LiveHost, tmp_path: Path) -> None:
    with stall() as made:
        awaited(lambda: waits(host, made))
        now = socket_of(host, made)
        assert now is not None
        deed = RepairTcpSocket(now.inode, now.cookie, stalled_sockets.owners(host, now), "x")
        assert made.read() == str(SIZE).encode()
        awaited(lambda: not waits(host, made))

        with pytest.raises(errors.UnreadableError, match="goes on by itself"):
            done(deed, tmp_path)


def test_a_connection_without_a_process_is_ended_where_its_peer_proves_it_stuck(
    host: LiveHost, tmp_path: Path
) -> None:
    with stuck(host) as made:
        aim = aim_of(DESTROY, host, made)
        os.kill(made.writer, signal.SIGKILL)
        awaited(lambda: is_nobodys(host, made))
        known = {**aim.observation.aim, "peerNamespace": made.space.inode}
        proven = replace(aim, observation=replace(aim.observation, aim=known))

        against = objection(DESTROY, host, aim)
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
        deed = RepairTcpSocket(now.inode, now.cookie, ((made.writer, 0),), "x")

        with pytest.raises(errors.UnreadableError, match="owners changed"):
            done(deed, tmp_path)

        assert made.read() == str(SIZE).encode()
