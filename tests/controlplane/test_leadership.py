"""Leadership against a real API server: never two, soon another, and never a write too late."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_operator.cluster import access, errors
from kernelhealth_operator.cluster.call import MERGE_PATCH
from kernelhealth_operator.cluster.holdings import Change
from kernelhealth_operator.cluster.kinds import Kind
from kernelhealth_operator.cluster.leadership import Leadership
from kernelhealth_operator.cluster.lease import Lease, LeaseLock, LeaseTiming
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.cluster.watch import NarrowWatch

DEADLINE = 60.0
TIMING = LeaseTiming(duration=6, renew_deadline=4.0, retry_period=0.3)
SAFE = LeaseTiming(duration=60, renew_deadline=40.0, retry_period=0.3)
"""Where nobody is to lose the lease by being slow."""
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
MAPS = "/api/v1/namespaces/default/configmaps"


@dataclass
class Stage:
    """One Lease of one test, and who said what about it in which order."""

    session: ApiSession
    control_plane: ControlPlane
    name: str = field(default_factory=lambda: f"lease-{uuid.uuid4().hex[:8]}")
    told: list[str] = field(default_factory=list)
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def say(self, words: str) -> None:
        async with self.more:
            self.told.append(words)
            self.more.notify_all()

    async def until(self, words: str, times: int = 1) -> None:
        async with asyncio.timeout(DEADLINE), self.more:
            await self.more.wait_for(lambda: self.told.count(words) >= times)

    def lock(self, identity: str, timing: LeaseTiming = TIMING) -> LeaseLock:
        return LeaseLock(self.session, "default", self.name, identity, timing)

    def work(self, identity: str) -> Callable[[], Awaitable[None]]:
        async def lead() -> None:
            await self.say(f"{identity} leads")
            try:
                await asyncio.Event().wait()
            finally:
                await self.say(f"{identity} ends")

        return lead

    @asynccontextmanager
    async def running(self, leadership: Leadership, identity: str) -> AsyncIterator[None]:
        task = asyncio.create_task(leadership.run(self.work(identity)))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def holder(self) -> str:
        lease = await self.session.request("GET", f"{LEASES}/{self.name}")
        return str(lease["spec"]["holderIdentity"])

    async def edit(self, holder: str, duration: int) -> None:
        spec = {"holderIdentity": holder, "leaseDurationSeconds": duration}
        await self.session.request(
            "PATCH", f"{LEASES}/{self.name}", body={"spec": spec}, content_type=MERGE_PATCH
        )


@dataclass
class Candidate:
    """A candidate in its own process."""

    process: asyncio.subprocess.Process

    async def hears(self, *words: str) -> str:
        """The next of *words* that it says; everything else is passed over."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            while line := await self.process.stdout.readline():
                if line.decode().strip() in words:
                    return line.decode().strip()
        pytest.fail(f"the candidate ended without saying {words}")

    def command(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@pytest_asyncio.fixture
async def stage(control_plane: ControlPlane) -> AsyncIterator[Stage]:
    async with ApiSession(await access.from_kubeconfig(control_plane.kubeconfig)) as session:
        made = Stage(session, control_plane)
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made.name}}
        await session.request("POST", MAPS, body=body)
        yield made
        await session.request("DELETE", f"{MAPS}/{made.name}")
        with suppress(errors.NotFound):
            await session.request("DELETE", f"{LEASES}/{made.name}")


@pytest_asyncio.fixture
async def candidate(
    stage: Stage,
) -> AsyncIterator[Callable[[str], Awaitable[Candidate]]]:
    program = Path(__file__).with_name("candidate.py")
    async with AsyncExitStack() as stack:

        async def start(identity: str) -> Candidate:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(program),
                str(stage.control_plane.kubeconfig),
                stage.name,
                identity,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            stack.push_async_callback(_end, process)
            return Candidate(process)

        yield start


async def test_of_two_candidates_exactly_one_leads(stage: Stage) -> None:
    first, second = Leadership(stage.lock("a", SAFE)), Leadership(stage.lock("b", SAFE))

    async with stage.running(first, "a"):
        await stage.until("a leads")
        async with stage.running(second, "b"):
            await _has_renewed(stage, times=3)
            led = first.is_leader(), second.is_leader()

    assert led == (True, False)
    assert second.counters.acquired == 0
    with pytest.raises(errors.NotLeader, match="b does not hold the lease default/lease-"):
        second.fence()


async def test_leadership_moves_when_the_holder_is_killed(
    stage: Stage, candidate: Callable[[str], Awaitable[Candidate]]
) -> None:
    first = await candidate("a")
    await first.hears("leading")

    first.send(signal.SIGKILL)
    second = await candidate("b")
    await second.hears("leading")

    assert await stage.holder() == "b"


async def test_a_clean_exit_gives_the_lease_to_a_standby_that_never_sees_it_expire(
    stage: Stage, candidate: Callable[[str], Awaitable[Candidate]]
) -> None:
    first = await candidate("a")
    await first.hears("leading")
    standby = Leadership(stage.lock("b"), clock=lambda: 1000.0)

    async with stage.running(standby, "b"):
        first.command("leave")
        await stage.until("b leads")

    assert await first.process.wait() == 0
    assert stage.told == ["b leads", "b ends"]


async def test_a_leader_that_was_stopped_is_fenced_when_it_wakes(
    stage: Stage, candidate: Callable[[str], Awaitable[Candidate]]
) -> None:
    first = await candidate("a")
    await first.hears("leading")
    first.command("write")
    assert await first.hears("written", "refused") == "written"

    first.send(signal.SIGSTOP)
    second = await candidate("b")
    await second.hears("leading")
    second.command("write")
    assert await second.hears("written", "refused") == "written"
    first.command("write")
    first.send(signal.SIGCONT)

    assert await first.hears("written", "refused") == "refused"
    map_ = await stage.session.request("GET", f"{MAPS}/{stage.name}")
    assert map_["data"] == {"writer": "b"}


async def test_the_fence_closes_by_the_own_clock_before_the_lease_can_be_anothers(
    stage: Stage,
) -> None:
    now = [1000.0]
    slow = LeaseTiming(duration=300, renew_deadline=200.0, retry_period=100.0)
    leadership = Leadership(stage.lock("a", slow), clock=lambda: now[0])

    async with stage.running(leadership, "a"):
        await stage.until("a leads")
        left = leadership.fence()
        now[0] += 199.0
        still = leadership.is_leader()
        now[0] += 1.0

        assert (left, still, leadership.is_leader()) == (200.0, True, False)
        with pytest.raises(errors.NotLeader):
            leadership.fence()


async def test_an_outage_ends_the_work_and_the_election_begins_anew_after_it(
    stage: Stage,
) -> None:
    leadership = Leadership(stage.lock("a"))

    async with stage.running(leadership, "a"):
        await stage.until("a leads")
        stage.control_plane.stop_apiserver()
        await stage.until("a ends")
        closed = not leadership.is_leader()
        stage.control_plane.start_apiserver()
        await stage.until("a leads", times=2)

    assert stage.told == ["a leads", "a ends", "a leads", "a ends"]
    assert closed
    assert (leadership.counters.acquired, leadership.counters.lost) == (2, 1)


async def test_a_holder_whose_lease_was_given_away_stops_and_waits_its_turn(stage: Stage) -> None:
    leadership = Leadership(stage.lock("a", SAFE))

    async with stage.running(leadership, "a"):
        await stage.until("a leads")
        await stage.edit("intruder", duration=1)
        await stage.until("a leads", times=2)

    assert stage.told == ["a leads", "a ends", "a leads", "a ends"]
    assert leadership.counters.lost == 1


async def test_the_lease_is_given_back_only_after_the_work_is_over(stage: Stage) -> None:
    leadership = Leadership(stage.lock("a"))
    holders = []

    async def stubborn() -> None:
        await stage.say("a leads")
        for _ in range(2):
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            holders.append(await _whatever_comes(stage.holder()))

    task = asyncio.create_task(leadership.run(stubborn))
    await stage.until("a leads")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert holders == ["a", "a"]
    assert await stage.holder() == ""
    assert leadership.counters.released == 1


async def _whatever_comes(asked: Coroutine[None, None, str]) -> str:
    """The answer, also for one that is cancelled again and again before it is there."""
    answer = asyncio.ensure_future(asked)
    while not answer.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({answer})
    return answer.result()


async def test_work_that_fails_gives_the_lease_back_and_tells_the_error(stage: Stage) -> None:
    async def broken() -> None:
        await stage.say("a leads")
        raise LookupError("the work is broken")

    with pytest.raises(LookupError, match="the work is broken"):
        await Leadership(stage.lock("a")).run(broken)

    assert await stage.holder() == ""


async def test_a_deleted_lease_is_made_again_by_its_holder_and_not_taken_by_a_standby(
    stage: Stage,
) -> None:
    first = Leadership(stage.lock("a", SAFE))
    standby = Leadership(stage.lock("b"), clock=lambda: 1000.0)
    seen = _leases(stage)

    async with stage.running(first, "a"):
        await stage.until("a leads")
        async with stage.running(standby, "b"):
            await _has_renewed(stage, times=3)
            await anext(seen)
            await stage.session.request("DELETE", f"{LEASES}/{stage.name}")
            async with asyncio.timeout(DEADLINE):
                while (change := await anext(seen)).kind.value != "ADDED":
                    pass
    await seen.aclose()

    assert change.object == "a"
    assert standby.counters.acquired == 0


def _leases(stage: Stage) -> AsyncGenerator[Change[str], None]:
    """The changes of the stage's Lease; each object is its holder."""
    selectors = {"fieldSelector": f"metadata.name={stage.name}"}
    kind = Kind(LEASES, Lease, lambda lease: lease.holder, selectors)
    return NarrowWatch(stage.session, kind).changes()


async def _has_renewed(stage: Stage, times: int) -> None:
    """Waits until the Lease was written that many times."""
    changes = _leases(stage)
    async with asyncio.timeout(DEADLINE):
        for _ in range(times):
            await anext(changes)
    await changes.aclose()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
