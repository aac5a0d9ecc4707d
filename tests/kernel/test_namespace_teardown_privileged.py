"""Canaries on this kernel, healthy, late, hung and orphaned, and what only looks like trouble."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from kernelhealth_agent import moments, stuck_tasks
from kernelhealth_agent.detectors import namespace_teardown as detector
from kernelhealth_agent.hosts import canary as program
from kernelhealth_agent.hosts.canary import Canary
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import canary, canary_history
from kernelhealth_agent.kernel.canary import Answer, Outstanding
from kernelhealth_agent.kernel.canary_history import History
from kernelhealth_agent.kernel.lifecycle import Memory
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import namespace_teardown as source
from kernelhealth_e2e.faults.crowd import crowd
from kernelhealth_e2e.faults.dying_namespaces import dying_namespaces
from kernelhealth_e2e.faults.open_fragment import open_fragment

DEFAULTS = detector.NamespaceTeardownParams()
ATTEMPTS = 20
ROUNDS = int(os.environ.get("KERNELHEALTH_CANARY_ROUNDS", "50"))
PATIENCE = 60.0
OpenFiles = Callable[[], set[tuple[str, str]]]
AGENT = """
import os, signal, sys
from kernelhealth_agent.hosts.canary import Canary
from kernelhealth_agent.kernel import canary
answer = canary.answer(Canary(wait=0.0).ask("/"), "canary")
os.kill(answer.outstanding.leader, signal.SIGSTOP)
print(answer.outstanding.leader, flush=True)
sys.stdin.read()
"""


def ask(host: LiveHost, question: Canary) -> Answer:
    return canary.answer(host.probe(question), question.name)


def until_over(host: LiveHost, answer: Answer) -> Answer:
    """Ask after a canary until it is over, or until the patience of a test is."""
    end = time.monotonic() + PATIENCE
    while answer.outstanding is not None and time.monotonic() < end:
        answer = ask(host, Canary(answer.outstanding, wait=1.0))
    return answer


def stopped(host: LiveHost, answer: Answer) -> Answer:
    """Stop a canary, and ask once more when it stands or has ended; what it made goes on alone."""
    if answer.outstanding is None:
        return answer
    os.kill(answer.outstanding.leader, signal.SIGSTOP)
    os.waitid(os.P_PID, answer.outstanding.leader, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    end = time.monotonic() + PATIENCE
    answer = ask(host, Canary(answer.outstanding, wait=0.0))
    while answer.outstanding is not None and len(answer.alive) > 1 and time.monotonic() < end:
        answer = ask(host, Canary(answer.outstanding, wait=0.05))
    return answer


def caught(
    host: LiveHost,
    moment: Callable[[Answer], bool],
    beside: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
) -> Outstanding:
    """Stop a canary at a moment of some milliseconds: where one is missed, the next is tried."""
    for _ in range(ATTEMPTS):
        with beside():
            answer = ask(host, Canary(wait=0.0))
            end = time.monotonic() + PATIENCE
            while answer.outstanding and not moment(answer) and time.monotonic() < end:
                answer = ask(host, Canary(answer.outstanding, wait=0.0))
            answer = stopped(host, answer)
        if answer.outstanding is not None:
            if moment(answer):
                return answer.outstanding
            ask(host, Canary(answer.outstanding, wait=0.0, deadline=0.0))
    raise AssertionError(f"none of {ATTEMPTS} canaries was stopped in time")


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.fixture
def hung(live: LiveHost) -> Iterator[Outstanding]:
    """A canary that was stopped before it got anywhere: nothing but SIGKILL ends it."""
    outstanding = caught(live, lambda answer: not answer.lines)
    try:
        yield outstanding
    finally:
        ask(live, Canary(outstanding, wait=0.0, deadline=0.0))


def test_a_canary_is_born_and_dies_and_leaves_nothing(
    live: LiveHost, open_files: OpenFiles
) -> None:
    files, had = open_files(), children()

    answer = until_over(live, ask(live, Canary()))

    assert answer.lines[-1] == "done"
    assert (answer.form, answer.refused, answer.netfilter) == ("quota", None, None)
    assert answer.creation is not None
    assert answer.teardown is not None
    assert open_files() <= files
    assert children() <= had


def test_netfilter_does_as_it_is_told(live: LiveHost) -> None:
    answer = until_over(live, ask(live, Canary(netfilter=2)))

    assert answer.netfilter == "", answer.lines
    assert answer.done


def test_without_a_quota_a_veth_pair_shows_the_end() -> None:
    pieces = "mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "
    child = ["-I", "-S", "-B", "-c", program._PROGRAM, program._PACKAGES, "--veth", "--netfilter=2"]
    command = ["unshare", "-m", "sh", "-c", f'{pieces} "$0" "$@"', sys.executable, *child]

    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as made:
        assert made.stdout is not None
        lines = made.stdout.read().decode().splitlines()

    words = [line.split()[0] for line in lines]
    assert words == ["form", "owner", "created", "gone", "netfilter", "done"], lines
    assert lines[0] == "form veth"
    assert canary.device(made.pid) not in {name for _, name in socket.if_nameindex()}


def test_a_device_that_a_canary_left_is_deleted_and_counted(live: LiveHost) -> None:
    number = 4194304 + secrets.randbelow(1_000_000_000)  # No process has one so high.
    name, peer = canary.device(number), f"khx{number}"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", peer], check=True)
    try:
        answer = until_over(live, ask(live, Canary(leftovers=(name,))))

        assert answer.cleaned == 1
        assert name not in {found for _, found in socket.if_nameindex()}
    finally:
        subprocess.run(["ip", "link", "del", name], check=False, stderr=subprocess.DEVNULL)


def test_a_late_canary_is_no_stall(live: LiveHost) -> None:
    with dying_namespaces(200):
        first = ask(live, Canary(wait=0.05))
        history = canary_history.told(History(), first, moments.now().uptime)
        answer = until_over(live, first)

    assert answer.done
    history = canary_history.told(history, answer, moments.now().uptime)
    assert (history.outstanding, history.stall) == (None, None)
    assert history.result is not None
    assert history.result.teardown is not None


def test_the_worker_that_destroys_namespaces_is_seen_and_not_accused(
    live: LiveHost, look: Callable[..., Inventory]
) -> None:
    found = None
    end = time.monotonic() + PATIENCE
    while not found and time.monotonic() < end:
        with dying_namespaces(100):
            found = stuck_tasks.workers(live, (), moments.now().uptime)

    assert found
    assert found[0].task.comm.endswith("+netns")
    sample = source.collect(live, Occasion(look(), moments.now()))
    assert list(detector.judge(sample, DEFAULTS)) == []


def test_a_hung_canary_is_told_of_and_never_doubled(
    live: LiveHost, look: Callable[..., Inventory], hung: Outstanding
) -> None:
    memory, had = Memory(History(outstanding=hung)), children()

    first = source.collect(live, Occasion(look(), moments.now(), memory))
    second = source.collect(live, Occasion(look(), moments.now(), first.memory))

    for sample in (first, second):
        assert sample.canaries.outstanding is not None
        assert sample.canaries.outstanding.leader == hung.leader
        assert list(detector.judge(sample, DEFAULTS)) == []
    assert str(hung.leader) in children()
    assert children() <= had


def test_a_stopped_canary_in_the_middle_of_its_work_does_not_accuse_the_kernel(
    live: LiveHost, look: Callable[..., Inventory]
) -> None:
    outstanding = caught(
        live, lambda answer: answer.step is canary.Step.TEARDOWN, lambda: dying_namespaces(200)
    )
    try:
        old = replace(outstanding, began=outstanding.began - 60.0)
        memory = Memory(History(outstanding=old))
        sample = source.collect(live, Occasion(look(), moments.now(), memory))

        assert sample.canaries.stall is not None
        assert [task.state for task in sample.canaries.stall.tasks] == ["T"]
        assert list(detector.judge(sample, DEFAULTS)) == []
        assert any("does not get going" in said for said in sample.blind)
    finally:
        answer = ask(live, Canary(outstanding, wait=0.0, deadline=0.0))
    assert answer.killed


def test_a_second_canary_leaves_without_having_done_anything(live: LiveHost) -> None:
    place = Path(program._PACKAGES, "kernelhealth_agent", "canary", "program.py")
    with place.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        answer = until_over(live, ask(live, Canary()))

    assert answer.lines == ("busy",)
    history = canary_history.told(History(), answer, moments.now().uptime)
    assert (history.result, history.stall) == (None, None)
    assert "under way" in history.why


def test_a_canary_that_is_too_old_is_killed_and_nothing_of_it_is_left(
    live: LiveHost, hung: Outstanding
) -> None:
    answer = ask(live, Canary(hung, wait=0.0, deadline=0.0))

    assert (answer.killed, answer.alive, answer.outstanding) == (True, (), None)
    assert str(hung.leader) not in children()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(hung.results[0])


def test_a_hung_canary_ends_with_its_agent() -> None:
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", AGENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=paths
    ) as agent:
        assert agent.stdout is not None
        orphan = os.pidfd_open(int(agent.stdout.readline()))
        agent.kill()

    try:
        ended, _, _ = select.select([orphan], [], [], PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(orphan, signal.SIGKILL)
        os.close(orphan)
    assert ended


def test_a_restarted_agent_does_not_take_other_files_for_those_of_a_canary(
    live: LiveHost, hung: Outstanding
) -> None:
    other = os.open("/dev/null", os.O_RDONLY)
    forgotten = replace(hung, results=(other, hung.results[1]), lifeline=(other, 1))

    answer = ask(live, Canary(forgotten, wait=0.0))

    assert answer.outstanding is not None
    os.close(other)  # It is still open.


def test_half_a_packet_is_memory_that_a_queue_holds(
    live: LiveHost, look: Callable[..., Inventory]
) -> None:
    with open_fragment() as made:
        text = Path(f"/proc/{made.pid}/net/sockstat").read_text()
        sample = source.collect(live, Occasion(look(), moments.now()))

    assert "FRAG: inuse 1 memory " in text
    assert "FRAG: inuse 1 memory 0\n" not in text
    assert made.inode not in {broken.space.inode for broken in sample.fragments}


def test_a_look_costs_one_canary_and_no_descriptor(
    live: LiveHost, look: Callable[..., Inventory], open_files: OpenFiles
) -> None:
    inventory, memory, answered = look(), None, 0
    source.collect(live, Occasion(inventory, moments.now(), memory))
    files, had = open_files(), children()

    for number in range(ROUNDS):
        moment = moments.now().after(number * canary_history.CALM)
        sample = source.collect(live, Occasion(inventory, moment, memory))
        end = time.monotonic() + PATIENCE
        while (late := sample.canaries.outstanding) is not None and time.monotonic() < end:
            select.select([late.results[0]], [], [], 1.0)
            sample = source.collect(live, Occasion(inventory, moment, sample.memory))
        memory = sample.memory
        result = sample.canaries.result
        answered += result is not None and result.uptime == moment.uptime

    # On a busy machine one comes late, and none where another agent's is under way.
    assert answered >= ROUNDS / 2
    assert open_files() <= files
    assert children() <= had


def test_a_crowd_of_namespaces_is_healthy(live: LiveHost, look: Callable[..., Inventory]) -> None:
    with crowd(20, 20):
        sample = source.collect(live, Occasion(look(), moments.now()))

    assert list(detector.judge(sample, DEFAULTS)) == []
    assert sample.blind == ()
