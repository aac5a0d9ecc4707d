"""What the demo plays on: runs kubectl where one can see it, and lists what was seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.observing import Object, Observer

_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Of:
    """Which object is waited for; without a name the one that is named after the node."""

    kind: str
    name: str = ""


HEALTH, NODE = Of("nodekernelhealth"), Of("node")


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that was waited for and seen, after how many seconds."""

    what: str
    seconds: float
    detail: str


@dataclass(slots=True)
class Stage:
    """A running cluster with our software on it, and what was seen there so far."""

    cluster: Cluster
    observer: Observer
    seen: list[Seen] = field(default_factory=list)

    @property
    def node(self) -> str:
        """The name of the only node."""
        return self.cluster.settings.node_name

    def say(self, text: str) -> None:
        """Say what happens, with the elapsed time."""
        self.cluster.settings.progress.say(text)

    def show(self, *arguments: str, only: str = "") -> None:
        """Run kubectl and print command and output; *only* keeps the lines that contain it."""
        output = self.cluster.kubectl(*arguments)
        lines = [line for line in output.splitlines() if only in line]
        print(f"\n  $ kubectl {' '.join(arguments)}{f' | grep {only}' if only else ''}")
        print("\n".join(f"  {line}" for line in lines), end="\n\n", flush=True)

    def await_(
        self,
        what: str,
        holds: Callable[[Object], bool],
        *,
        of: Of = HEALTH,
        since: float | None = None,
        detail: Callable[[Object], str] | None = None,
    ) -> Object:
        """Wait until an object is as wanted, and write it down as seen; raise where it is not."""
        begun = time.monotonic() if since is None else since
        found = self.observer.wait(of.kind, of.name or self.node, what, holds, _SECONDS)
        took = time.monotonic() - begun
        self.say(f"seen after {took:.1f} s: {what}")
        self.note(what, took, detail(found) if detail else "")
        return found

    def note(self, what: str, seconds: float, detail: str) -> None:
        """Write something down as seen."""
        self.seen.append(Seen(what, seconds, detail))


def finding(health: Object, reason: str) -> Object | None:
    """Return the finding with that reason in a NodeKernelHealth, if there is one."""
    findings = health.get("status", {}).get("findings", [])
    return next((found for found in findings if found["reason"] == reason), None)


def message(reason: str) -> Callable[[Object], str]:
    """Return what says, of a NodeKernelHealth, the sentence of its finding with that reason."""
    return lambda health: str((finding(health, reason) or {}).get("message", ""))


def about(reason: str, pod: str) -> Callable[[Object], bool]:
    """Return what tells whether a NodeKernelHealth has a finding of that reason about that pod."""

    def holds(health: Object) -> bool:
        every = health.get("status", {}).get("findings", [])
        return any(
            one["reason"] == reason and one.get("subject", {}).get("pod") == pod for one in every
        )

    return holds


def condition(object_: Object, kind: str) -> Object:
    """Return a condition of an object, empty where there is none of that type."""
    conditions = object_.get("status", {}).get("conditions", [])
    return next((found for found in conditions if found["type"] == kind), {})
