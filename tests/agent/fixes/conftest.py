"""A machine made of files that fixes are done to, by the very hands that do it to a host."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kernelhealth_agent import surgery
from kernelhealth_agent.fix import Fix
from kernelhealth_agent.hands import LiveHands
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.surgery import Result, Theatre
from kernelhealth_api.detector import Observation, Reason, Severity, Subject

HOST_NETNS = 4026531833


@dataclass
class Machine:
    """A host's files below *root*, which a test writes and fixes change.

    What the kernel would do meanwhile is done while somebody waits for it.
    """

    root: Path
    deeds: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    @property
    def host(self) -> RecordedHost:
        """The machine, as the agent sees it."""
        return RecordedHost(str(self.root))

    @property
    def kept(self) -> Path:
        """Where copies of what was replaced are."""
        return self.root / "kept" / "request-1"

    def write(self, path: str, text: str) -> Path:
        """Write a file of the host."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def read(self, path: str) -> str:
        """Return the content of a file of the host."""
        return (self.root / path).read_text()

    def process(
        self, pid: int, netns: int = HOST_NETNS, mntns: int = 1, mounts: str = "", state: str = ""
    ) -> None:
        """Have a process, with its mount table and its namespace's state of gssproxy."""
        links = self.root / f"proc/{pid}/ns"
        links.mkdir(parents=True)
        (links / "net").symlink_to(f"net:[{netns}]")
        (links / "mnt").symlink_to(f"mnt:[{mntns}]")
        self.write(f"proc/{pid}/mountinfo", mounts)
        if state:
            self.write(f"proc/{pid}/net/rpc/use-gss-proxy", f"{state}\n")

    def treat(self, fix: Fix, *found: Observation) -> list[Result]:
        """Do a fix to all that was found, as the agent does."""
        theatre = Theatre(
            host=self.host,
            hands=LiveHands(str(self.root), "kept"),
            wait=lambda _: self.meanwhile(),
            uptime=itertools.count().__next__,
            doing=self.deeds.append,
            did=lambda _: None,
            patience=3.0,
        )
        return surgery.operate(fix, fix.aims(found), theatre, "request-1")


def observation(
    reason: str, cures: Iterable[str] = (), severity: Severity | None = None, **subject: object
) -> Observation:
    """Return an observation of a reason of that name."""
    known = Reason(reason, Severity.WARNING, "Something is wrong.")
    return Observation(
        known, "key", Subject.model_validate(subject), "It is.", None, tuple(cures), severity
    )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A host with its first process, reached as a container with hostPID reaches it."""
    made = Machine(tmp_path)
    made.process(1, state="-1")
    (tmp_path / "proc/1/root").symlink_to(tmp_path)
    return made
