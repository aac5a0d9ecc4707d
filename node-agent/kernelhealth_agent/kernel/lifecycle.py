"""Whether network namespaces are made and destroyed: the sample of a look, and its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kernelhealth_agent.kernel.canary_history import History
from kernelhealth_agent.kernel.fragments import Broken, Remembered
from kernelhealth_agent.kernel.namespaces import Pod
from kernelhealth_agent.kernel.task_files import Task
from kernelhealth_agent.kernel.teardown_episodes import Episode
from kernelhealth_agent.kernel.teardown_workers import CREATORS, Spell, Worker
from kernelhealth_agent.kernel.unregister_waits import Latest, Wait


@dataclass(frozen=True, slots=True)
class Blocked:
    """A task in D that makes a network namespace or changes who hears of them, and whose it is."""

    task: Task
    pod: Pod | None = None

    @property
    def is_creator(self) -> bool:
        """Whether it wants to make a namespace; the others load or unload modules."""
        return bool(self.task.functions & CREATORS)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the next look has to know; *waits* is None before the log was ever read."""

    canaries: History = field(default_factory=History)
    spells: tuple[Spell, ...] = ()
    fragments: Mapping[str, Remembered] = field(default_factory=dict)
    waits: Mapping[str, Latest] | None = None
    episode: Episode | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look saw.

    *taken* and *uptime* are when. *dead* counts the namespaces that exist without anything that
    leads to them. *blocked* was looked for only where something was suspicious. *conntrack* says
    that the kernel itself names the cleanup of connection tracking as what takes so long;
    *deferring* is net.core.skb_defer_max, None where there is none. *memory* is for the next look.
    """

    taken: datetime
    uptime: float
    canaries: History
    dead: int = 0
    workers: tuple[Worker, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    fragments: tuple[Broken, ...] = ()
    waits: tuple[Wait, ...] = ()
    conntrack: bool = False
    deferring: int | None = None
    blind: tuple[str, ...] = ()
    memory: Memory = field(default_factory=Memory)

    def ago(self, seconds: float) -> datetime:
        """Return the time of day so many seconds before this look."""
        return self.taken - timedelta(seconds=max(0.0, seconds))
