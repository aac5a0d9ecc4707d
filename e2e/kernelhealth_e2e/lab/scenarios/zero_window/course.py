"""Two connections that stall, side by side: one by the kernel's fault, one since nobody reads.

What inet_diag says of their clients is the same: a closed window, data to send, and more than 2^31
bytes received meanwhile. ``snd_wl1`` and the queues of the servers are not.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelhealth_e2e import pods
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.scenarios.zero_window.pods import Pair
from kernelhealth_e2e.lab.scenarios.zero_window.tcp_table import PERSIST
from kernelhealth_e2e.scene import findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.scenarios.zero_window.tcp_table import Connection
    from kernelhealth_e2e.observing import Object

STUCK, SLOW, CAUSE = "ConnectionStuckInPersist", "SlowReader", "StaleSndWl1"
CURES = ["RepairSocket", "DestroySocket"]
SOON = {"tcpPersist": {"stalledAfter": "30s", "minBackoff": 6}}
"""When a connection counts as stalled, where it takes a quarter of an hour by default."""
_FAST = ("--backoff", "7", "--reserve", "64")
"""The next probe then is 25 s away, the answer to which is none of the fast path."""


@dataclass(frozen=True, slots=True)
class Course:
    """What is played in one run; *arguments* are more of those of the client that gets stuck."""

    bench: Bench
    name: str
    arguments: tuple[str, ...] = ()

    @property
    def stuck(self) -> Pair:
        """The pods whose connection a faulty kernel never lets go on."""
        return Pair(self.bench, self.name, processor=0)

    @property
    def slow(self) -> Pair:
        """The pods of which one does not read before it is told to."""
        return Pair(self.bench, f"{self.name}-slow", processor=1)

    def begin(self) -> None:
        """Start all four pods."""
        self.bench.policy("Observe", [], detectors=SOON)
        slow, stuck = self.slow.wanted(lazy=True), self.stuck.wanted(*_FAST, *self.arguments)
        pods.create(self.bench.scene.cluster, *slow, *stuck)
        self.slow.connect()
        self.stuck.connect()

    def received(self) -> str:
        """Wait until the client has received so much that the fault can come about; in words."""
        told = self.stuck.told(self.stuck.client, "received")
        self.stuck.told(self.stuck.server, "reads")
        return (
            f"with its window closed the client got {told['in_a_row'] >> 20} MiB in a row by the "
            f"fast path ({told['fast']} of {told['segments']} segments; {told['bytes'] >> 20} MiB "
            f"in all, in {told['seconds']:.0f} s)"
        )

    def stalled(self) -> Connection:
        """Return the client's connection; HarnessError unless it waits for what was announced."""
        near = self.stuck.seen(self.stuck.client)
        far = self.stuck.seen(self.stuck.server)
        if near.timer != PERSIST or not near.unsent or far.unread:
            raise HarnessError(f"the connection is not stuck: client {near}, server {far}")
        return near

    def found(self, before: Connection) -> tuple[Object, str]:
        """Wait for the finding, and return it; in words that of the slow reader beside it."""
        one = self.bench.found(STUCK, self.stuck.title)
        now = self.stalled()
        if now.unsent != before.unsent:
            raise HarnessError(f"the connection goes on by itself: {before}, then {now}")
        return one, self.slow_reader()

    def slow_reader(self) -> str:
        """Wait for what is said of the slow reader: what is true of it, and no more."""
        one = self.bench.found(SLOW, self.slow.title)
        near, far = self.slow.seen(self.slow.client), self.slow.seen(self.slow.server)
        if near.timer != PERSIST or not far.unread:
            raise HarnessError(f"the slow reader does not stall: client {near}, server {far}")
        if f"{far.unread} bytes wait there" not in one["message"]:
            raise HarnessError(f"the server has {far.unread} bytes to read, not: {one['message']}")
        wrong = [each for each in self._findings() if _about(each, STUCK, self.slow.title)]
        if wrong:
            raise HarnessError(f"the slow reader is called stuck: {wrong[0]['message']}")
        return str(one["message"])

    def given_back(self) -> str:
        """Let the slow server read at last, of the same connection, and the node be well again."""
        self.slow.read()
        ended = self.slow.ended(connections=1)
        self.bench.given_back()
        return f"the slow reader was left alone, and once it reads {ended}"

    def _findings(self) -> list[Object]:
        return findings({"status": self.bench.status()})


def named(one: Object, pod: str) -> str:
    """Say what a finding names; HarnessError where it is not the cause, both ends and the cures."""
    subject = one["subject"]
    ends = subject.get("addresses", ())
    if one.get("cause") != CAUSE or one.get("cures") != CURES or len(ends) != 2:
        raise HarnessError(f"the finding does not name {CAUSE}, both ends and {CURES}: {one}")
    if subject["pod"] != pod or "python3" not in subject.get("process", ""):
        raise HarnessError(f"the finding does not name {pod} and its program: {one}")
    return (
        f"{one['cause']}: {subject['process']} of {subject['pod']}, {ends[0]} to {ends[1]}, "
        f"cures {' and '.join(one['cures'])}"
    )


@contextmanager
def never_found(bench: Bench, reason: str) -> Iterator[None]:
    """Raise HarnessError if any report of the node meanwhile has a finding with that reason."""
    with bench.scene.observer.record("nodekernelhealth", bench.scene.name) as recording:
        yield
        versions = recording.versions()
    if not versions:
        raise HarnessError(f"no report of {bench.scene.name} was recorded")
    wrong = [one for each in versions for one in findings(each) if one["reason"] == reason]
    if wrong:
        raise HarnessError(f"a kernel without the fault is blamed: {wrong[0]['message']}")


def _about(one: Object, reason: str, pod: str) -> bool:
    return bool(one["reason"] == reason and one["subject"].get("pod") == pod)
