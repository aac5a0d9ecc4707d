"""Reads whether network namespaces are made and destroyed: by precursors, then by a canary."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from kernelhealth_agent import canaries, errors, stuck_tasks
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.kernel_log import KernelLog
from kernelhealth_agent.kernel import (
    canary,
    fragments,
    kmsg,
    teardown_episodes,
    teardown_workers,
    unregister_waits,
)
from kernelhealth_agent.kernel.fragments import Broken
from kernelhealth_agent.kernel.lifecycle import Memory, Sample
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace
from kernelhealth_agent.source import Occasion, Source

_PERIOD = 60.0
_FILES = (("IPv4", "sockstat"), ("IPv6", "sockstat6"))
_DEFERRING = "proc/sys/net/core/skb_defer_max"
_CONNTRACK = b"conntrack cleanup blocked for"  # net/netfilter/nf_conntrack_core.c, Linux 6.19.


def collect(host: Host, occasion: Occasion[Memory]) -> Sample:
    """Look at workers, counters and the log, then ask the canary, then look for who is stuck.

    Raises ``AbsentError`` where none of it is there. After the canary nothing may fail, since what
    is under way must be remembered.
    """
    past, uptime = occasion.memory or Memory(), occasion.moment.uptime
    inventory = occasion.inventory
    blind: list[str] = []
    workers = stuck_tasks.workers(host, past.spells, uptime)
    log = _log(host, blind)
    waits = unregister_waits.waits(_records(log or b""), past.waits, uptime)
    broken = tuple(_broken(host, inventory, past, uptime))
    suspicious = bool(waits) or any(worker.seconds for worker in workers or ())
    history = canaries.asked(host, occasion, past.canaries, suspicious=suspicious)
    if history.why:
        blind.append(f"whether namespaces are destroyed was not tried out: {history.why}")
    if history.stall is not None and history.stall.step is canary.Step.START:
        blind.append("whether namespaces are destroyed is not known: the canary does not get going")
    asked = history.result or history.stall or history.outstanding
    if workers is None and asked is None and not broken and not waits:
        why = f"was asked ({history.why}), and no kernel thread is in sight"
        raise errors.AbsentError("no canary", why)
    known = Sample(
        taken=occasion.moment.wall,
        uptime=uptime,
        canaries=history,
        dead=len(inventory.unreachable),
        workers=workers or (),
        fragments=broken,
        waits=waits,
        conntrack=_CONNTRACK in (log or b""),
        memory=Memory(
            canaries=history,
            spells=teardown_workers.spells(workers or (), uptime),
            fragments=fragments.remembered(broken, uptime),
            waits=past.waits if log is None else unregister_waits.remembered(waits),
        ),
    )
    if suspicious or history.stall is not None or history.refusals:
        known = _searched(host, inventory, known, blind)
    tasks = [worker.task for worker in known.workers] + [one.task for one in known.blocked]
    episode = teardown_episodes.episode(past.episode, history.stall, tasks)
    return replace(known, blind=tuple(blind), memory=replace(known.memory, episode=episode))


def _log(host: Host, blind: list[str]) -> bytes | None:
    try:
        return host.probe(KernelLog())
    except errors.AbsentError:
        return None
    except errors.HostError as error:
        blind.append(str(error))
        return None


def _records(log: bytes) -> tuple[kmsg.Record, ...]:
    return kmsg.records(log, kmsg.PATH) if unregister_waits.SIGN in log else ()


def _broken(host: Host, inventory: Inventory, past: Memory, uptime: float) -> Iterator[Broken]:
    """Yield the counters of fragments that are odd, of each namespace with a process in it."""
    for space in (inventory.host, *inventory.namespaces.values()):
        for protocol, file in _FILES:
            path, content = _first(host, space, f"net/{file}")
            counter = fragments.counter(content, path)
            if counter is not None and counter.is_odd:
                age = fragments.age(space, protocol, past.fragments, uptime)
                yield Broken(space, space is inventory.host, protocol, counter, age)


def _first(host: Host, space: Namespace, file: str) -> tuple[str, bytes]:
    """Return a file of the first process that still has it; nothing for none."""
    for pid in space.pids:
        path = f"proc/{pid}/{file}"
        with contextlib.suppress(errors.AbsentError):
            return path, host.read(path, 4096)
    return file, b""


def _searched(host: Host, inventory: Inventory, known: Sample, blind: list[str]) -> Sample:
    """Return the sample with who is stuck, and with the setting that may get it going."""
    deferring = None
    with contextlib.suppress(errors.HostError, ValueError):
        deferring = int(host.read(_DEFERRING, 64))
    try:
        found = stuck_tasks.blocked(host, inventory.pods)
    except errors.HostError as error:
        blind.append(str(error))
        found = ()
    return replace(known, blocked=found, deferring=deferring)


SOURCE = Source(
    name="namespace_teardown",
    sample=Sample,
    reads=(
        "probes/kmsg",
        *(f"proc/*/net/{file}" for _, file in _FILES),
        *stuck_tasks.READS,
        *canaries.READS,
        _DEFERRING,
    ),
    collect=collect,
    period=_PERIOD,
    memory=Memory,
    remember=lambda sample: sample.memory,
)
