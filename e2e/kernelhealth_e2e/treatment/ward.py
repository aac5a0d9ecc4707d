"""A ward for tests: a directory as the host, and a fix that leaves a line there for each deed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kernelhealth_agent import moments
from kernelhealth_agent.confirmation import Seen
from kernelhealth_agent.fix import Aim, Deed, Fix
from kernelhealth_agent.hands import Hands, LiveHands
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.journal import Journal
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.practice import Practice
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation, Reason, Severity, Subject
from kernelhealth_api.v1alpha1.request import (
    Fixing,
    HostAction,
    HostRequest,
    Rebooting,
    RebootMethod,
)

BOOT = "6f1e-boot"
CURE = "UnmountNamespace"
LEAKED = Reason("NetworkNamespaceLeaked", Severity.WARNING, "A namespace leaked")


@dataclass(frozen=True)
class Scratch:
    """Adds a line to a file below the host's root, and waits where a test says so."""

    directory: Path
    key: str
    step: int = 1
    host_wide: bool = False
    hang: Callable[[], object] | None = None

    @property
    def name(self) -> str:
        """What is done."""
        return f"scratch {self.key} {self.step}"

    def do(self, root: str, keep: str) -> None:
        """Do it, where hands have made all that a deed may expect."""
        if root != "/" or not Path(keep).is_dir():
            raise AssertionError((root, keep))
        if self.hang is not None:
            self.hang()
        with (self.directory / f"done-{self.key}").open("a") as file:
            file.write(f"{self.step}\n")


def observation(key: str, reason: Reason = LEAKED, cures: tuple[str, ...] = (CURE,)) -> Observation:
    """Return what one look saw of one thing."""
    subject = Subject(pod=f"shop/{key}", namespace=4026532178)
    return Observation(reason, key, subject, f"{key} leaked", "Bug", cures)


def seen(*keys: str, cures: tuple[str, ...] = (CURE,)) -> tuple[Seen, ...]:
    """Return what was confirmed, a thing for each key."""
    first = Moment(datetime(2026, 1, 1, tzinfo=UTC), 10.0)
    return tuple(Seen(observation(key, cures=cures), first, 2, 20.0) for key in keys)


@dataclass
class Ward:
    """The host, what is done there, and the practice of its agent."""

    directory: Path
    steps: int = 2
    hang: Callable[[], object] | None = None
    against: dict[str, str] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    host_wide: bool = False
    undo: bool = False
    stage: Stage = Stage.RECLAIM

    def lines(self, key: str) -> list[str]:
        """Return the steps that were done to one aim, in order."""
        path = self.directory / f"done-{key}"
        return path.read_text().split() if path.exists() else []

    def fix(self) -> Fix:
        """Return the fix that this ward is for."""
        return Fix(
            CURE, self.stage, self._aims, self._objection, self._deeds, self._achieved,
            undo=self._undo if self.undo else None,
        )  # fmt: skip

    def practice(self, hands: Hands | None = None, **parts: Any) -> Practice:
        """Return what an agent would work with here; *parts* replace some of it."""
        host = self.directory / "host"
        host.mkdir(parents=True, exist_ok=True)
        given: dict[str, Any] = {
            "host": RecordedHost(str(host)),
            "hands": hands or LiveHands("/", str(self.directory / "kept")),
            "fixes": {CURE: self.fix()},
            "journal": Journal(self.directory / "requests"),
            "clock": moments.now,
            "wait": lambda seconds: threading.Event().wait(min(seconds, 0.01)),
            "boot_id": BOOT,
            "deadline": 60.0,
            "patience": 0.05,
        }
        return Practice(**{**given, **parts})

    def _aims(self, observations: Iterable[Observation]) -> Iterable[Aim]:
        return [Aim(found.key, found.key, found) for found in observations]

    def _objection(self, _: Host, aim: Aim) -> str:
        return self.against.get(aim.key, "")

    def _deeds(self, _: Host, aim: Aim) -> Iterable[Deed]:
        return [
            Scratch(self.directory, aim.key, step, self.host_wide, self.hang)
            for step in range(1, self.steps + 1)
        ]

    def _undo(self, _: Host, aim: Aim) -> Iterable[Deed]:
        return [Scratch(self.directory, f"undo-{aim.key}")]

    def _achieved(self, _: Host, aim: Aim) -> bool:
        return aim.key not in self.broken and len(self.lines(aim.key)) >= self.steps


def request(number: str = "nr-1-2-unmount", **parts: Any) -> HostRequest:
    """Return a request for the ward's fix; *parts* replace some of it."""
    given: dict[str, Any] = {
        "id": number,
        "action": HostAction(reclaim=Fixing(fix=CURE, reasons=(LEAKED.name,))),
        "boot_id": BOOT,
        "deadline": datetime.now(UTC) + timedelta(minutes=5),
    }
    return HostRequest(**{**given, **parts})


def reboot(number: str = "nr-1-5", method: RebootMethod = RebootMethod.CLEAN) -> HostRequest:
    """Return a request for a reboot."""
    return request(number, action=HostAction(reboot=Rebooting(method=method)))
