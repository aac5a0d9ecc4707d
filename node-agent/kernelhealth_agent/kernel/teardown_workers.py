"""Who destroys network namespaces, and who waits for it: workers of ``netns``, tasks in D.

net/core/net_namespace.c: cleanup_net runs on the workqueue ``netns``, one at a time. A worker that
runs it is named ``kworker/…+netns`` (6b59808bfe48, "workqueue: Show the latest workqueue name in
/proc/PID/{comm,stat,status}", 4.18); with ``-netns`` it did so last and rests, and the rescuer
``kworker/R-netns`` is idle by profession.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kernelhealth_agent.kernel.task_files import Task

BUSY = "+netns"
CREATORS = frozenset({"copy_net_ns", "setup_net"})
"""A task in one of them makes a network namespace."""
WRITERS = frozenset(
    {
        "register_pernet_subsys",
        "register_pernet_device",
        "unregister_pernet_subsys",
        "unregister_pernet_device",
        "register_netdevice_notifier",
        "unregister_netdevice_notifier",
        "rtnl_link_unregister",
    }
)
"""A task in one of them loads or unloads a network module: while it waits for a namespace to be
destroyed, everybody who wants to make one waits for it (pernet_ops_rwsem, 4.17)."""


@dataclass(frozen=True, slots=True)
class Spell:
    """A worker that was busy in every look since *since*, when it had used *cpu* seconds."""

    pid: int
    start: int
    since: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Worker:
    """A busy worker, for *seconds* by now, on a processor for *share* of that time (0 to 1)."""

    task: Task
    seconds: float
    share: float

    @property
    def is_spinning(self) -> bool:
        """Whether it runs and runs: then it has no stack to be read."""
        return self.share >= 0.9

    @property
    def is_asleep(self) -> bool:
        """Whether it waits for one thing: a healthy one with much to do uses the processor."""
        return self.share <= 0.02


def worker(task: Task, past: Mapping[int, Spell], uptime: float) -> Worker:
    """Return a worker with how long it has been busy by what was remembered of it."""
    before = past.get(task.pid)
    if before is None or before.start != task.start:
        return Worker(task, 0.0, 0.0)
    seconds = uptime - before.since
    share = (task.cpu - before.cpu) / seconds if seconds > 0 else 0.0
    return Worker(task, seconds, min(1.0, max(0.0, share)))


def spells(workers: Iterable[Worker], uptime: float) -> tuple[Spell, ...]:
    """Return what to remember of busy workers."""
    return tuple(
        Spell(
            one.task.pid,
            one.task.start,
            uptime - one.seconds,
            one.task.cpu - one.share * one.seconds,
        )
        for one in workers
    )
