"""A detector of nothing in particular, on a host that a test can change between two looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from kernelhealth_agent import errors, inventory, thresholds
from kernelhealth_agent.examination import Examiner, Knowledge, Outcome
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.identity import Identity
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace, Pod, Remembered
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.rounds import Rounds
from kernelhealth_agent.source import Occasion, Source
from kernelhealth_agent.workers import Workers
from kernelhealth_api.detector import (
    Detector,
    Observation,
    Params,
    Reason,
    Severity,
    Signal,
    Subject,
)
from kernelhealth_api.duration import Duration

START = Moment(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)
HOSTS = Path(__file__).parents[1] / "fixtures" / "hosts"
Recorded = Callable[..., tuple[RecordedHost, Occasion[Any]]]


@dataclass(frozen=True, slots=True)
class Leaks:
    """Names of what leaked: the lines of the file ``leaks``."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Traps:
    """Names of traps: the lines of the file ``traps``."""

    names: tuple[str, ...]


class LeakParams(Params):
    confirm_after: Duration = Field(timedelta(minutes=2), description="How long it must last.")
    critical_count: int = Field(10, ge=1, description="From how many on it is Critical.")


class TrapParams(Params):
    pass


LEAKED = Reason(
    "ThingLeaked", Severity.WARNING, "A thing leaked", "confirm_after", "critical_count"
)
TRAP = Reason("TrapSet", Severity.WARNING, "A trap is set")


def _lines(host: Host, path: str) -> tuple[str, ...]:
    text = host.read(path).decode(errors="replace")
    if "garbage" in text:
        raise errors.UnreadableError(path, "it is garbage", 1)
    return tuple(text.split())


def _leaks(host: Host, _: Occasion[None]) -> Leaks:
    return Leaks(_lines(host, "leaks"))


def _traps(host: Host, _: Occasion[None]) -> Traps:
    return Traps(_lines(host, "traps"))


def _judge_leaks(sample: Leaks, _: LeakParams) -> Iterator[Observation]:
    for name in sample.names:
        if name == "defect":
            raise RuntimeError("nobody thought of that")
        subject = Subject(pod=f"shop/{name}")
        yield Observation(LEAKED, name, subject, f"Thing {name} leaked: reboot", "Bug", ("Reboot",))


def _judge_traps(sample: Traps, _: TrapParams) -> Iterator[Observation]:
    for name in sample.names:
        yield Observation(TRAP, name, Subject(file=f"/etc/{name}:3"), f"Trap {name} is set")


LEAK_DETECTOR = Detector(
    name="leaks",
    condition="LeaksHealthy",
    summary="Things that leak",
    sample=Leaks,
    params=LeakParams,
    reasons=(LEAKED,),
    judge=_judge_leaks,
    signals=(Signal("leaks_seen", "Things seen.", lambda s: {(): float(len(s.names))}),),
)
TRAP_DETECTOR = Detector(
    name="traps",
    condition="TrapsHealthy",
    summary="Traps that are set",
    sample=Traps,
    params=TrapParams,
    reasons=(TRAP,),
    judge=_judge_traps,
)
PAIRS = (
    (Source("leaks", Leaks, ("leaks",), _leaks), LEAK_DETECTOR),
    (Source("traps", Traps, ("traps",), _traps), TRAP_DETECTOR),
)


def survey(host: Host, moment: Moment, memory: Mapping[int, Remembered]) -> Inventory:
    """Take an inventory of a host with one pod; its boot id is that of the file."""
    boot = host.read("proc/sys/kernel/random/boot_id").decode().strip()
    space = Namespace(17, nsid=3, pod=Pod("shop", "cart", "uid-1", "cgroup"))
    return Inventory(boot, moment.wall, Namespace(1), {17: space}, frozenset({3}), (), {}, memory)


def remember(inventory: Inventory) -> dict[int, Remembered]:
    """Remember the pods of an inventory."""
    return {
        space.inode: Remembered(space.inode, space.nsid, space.pod, None, inventory.taken)
        for space in inventory.namespaces.values()
        if space.pod
    }


@dataclass
class Node:
    """A host made of files, what is known of it, and a clock that a test moves on."""

    root: Path
    deadline: float = 20.0
    now: Moment = START
    knowledge: Knowledge = field(default_factory=Knowledge)
    wanted: dict[str, object] = field(default_factory=dict)
    examiner: Examiner = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin anew, as an agent does; what it knows is what the test leaves it."""
        host = RecordedHost(str(self.root))
        rounds = Rounds(host, PAIRS, Workers(host.doing), self.deadline)
        self.examiner = Examiner(rounds, survey, remember, Identity("boot-1", "6.1", "X"), "1.0")

    def has(self, *, leaks: str = "", traps: str = "") -> None:
        """Let the host have leaks and traps of those names."""
        (self.root / "leaks").write_text(leaks)
        (self.root / "traps").write_text(traps)

    def look(self, later: float = 0.0) -> Outcome:
        """Make a round so many seconds after the one before."""
        self.now = self.now.after(later)
        chosen = thresholds.in_force(self.examiner.rounds.detectors, self.wanted)
        outcome = self.examiner.examine(self.knowledge, chosen, self.now)
        self.knowledge = outcome.knowledge
        return outcome


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A healthy node that was not looked at yet."""
    boot = tmp_path / "host" / "proc" / "sys" / "kernel" / "random"
    boot.mkdir(parents=True)
    (boot / "boot_id").write_text("boot-1\n")
    made = Node(tmp_path / "host")
    made.has()
    return made


@pytest.fixture
def recorded() -> Recorded:
    """Open a recorded host by its name or by the path of a directory, at an occasion to look.

    The look is *later* seconds after the first one, and knows *memory* from an earlier one.
    """

    def opened(
        name: str | Path, memory: Any = None, later: float = 0.0
    ) -> tuple[RecordedHost, Occasion[Any]]:
        host, moment = RecordedHost(str(HOSTS / name)), START.after(later)
        return host, Occasion(inventory.take(host, moment.wall, {}), moment, memory)

    return opened
