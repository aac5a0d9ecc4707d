"""Namespaces that are not made or not destroyed, in words and as subjects of observations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kernelhealth_agent.kernel import canary, occupants, teardown_causes
from kernelhealth_agent.kernel.canary_history import Stall
from kernelhealth_agent.kernel.fragments import Broken
from kernelhealth_agent.kernel.lifecycle import Blocked, Sample
from kernelhealth_agent.kernel.task_files import Task
from kernelhealth_agent.kernel.teardown_workers import Worker
from kernelhealth_agent.kernel.unregister_waits import Wait
from kernelhealth_api.v1alpha1.finding import Subject

_FRAMES = 4
_MINUTE = 60.0


def teardown(
    sample: Sample, stall: Stall | None, device: str | None, cures: Sequence[str]
) -> tuple[str, Subject]:
    """Return message and subject of a teardown that does not come to its end."""
    workers = sample.workers
    age = 0.0 if stall is None else sample.uptime - stall.since
    by = "no worker of the kernel is seen at it"
    if workers:
        by = _worker(workers[0], age)
    on = f" for device {device}" if device else ""
    tried = f"; a trial has waited for that for {_span(age)}" if stall is not None else ""
    dead = f" ({sample.dead} by now)" if sample.dead else ""
    message = (
        f"Network namespaces are made but not destroyed any more: {by}{on}{tried}, and each pod"
        f" that ends leaves its network, memory and addresses behind{dead}; {_advice(cures)}."
    )
    subject = Subject(
        process=workers[0].task.title if workers else None,
        holder=_holder([worker.task for worker in workers]),
        interfaces=(device,) if device else (),
    )
    return message, subject


def creation(sample: Sample, stall: Stall | None) -> tuple[str, Subject]:
    """Return message and subject of network namespaces that cannot be made."""
    others = [one for one in sample.blocked if one.task.comm != canary.COMM]
    creators = [one for one in others if one.is_creator]
    writers = [one for one in others if not one.is_creator]
    age = 0.0 if stall is None else sample.uptime - stall.since
    said = [_writer(writers[0].task)] if writers else []
    said += [_worker(sample.workers[0], age)] if sample.workers else []
    said += [_tried(stall, age)] if stall is not None else []
    said += [_counted(creators)] if creators else []
    tasks = [one.task for one in (*writers, *creators)] + list(stall.tasks if stall else ())
    pod = next((one.pod for one in (*creators, *writers) if one.pod is not None), None)
    subject = Subject(
        process=tasks[0].title if tasks else None,
        holder=_holder(tasks),
        pod=pod.title if pod is not None and pod.name else None,
        pod_uid=None if pod is None else pod.uid,
        pod_known_by=None if pod is None else pod.known_by,
    )
    message = (
        f"No network namespace can be made, so that no pod starts here: {', '.join(said)}; move"
        " the pods away and reboot."
    )
    return message, subject


def refusal(why: str) -> tuple[str, Subject]:
    """Return message and subject of a kernel that says no to another namespace."""
    message = (
        f"The kernel refuses to make a network namespace ({why}), so that no pod starts here: look"
        " at user.max_net_namespaces and at memory, and free what leaked or reboot."
    )
    return message, Subject(rule="user.max_net_namespaces")


def fragments(broken: Broken) -> tuple[str, Subject]:
    """Return message and subject of a counter of fragments that has lost count."""
    name = "The host" if broken.is_host else occupants.title(broken.space)
    file = "sockstat6" if broken.protocol == "IPv6" else "sockstat"
    message = (
        f"{name} counts {broken.counter.signed} bytes of {broken.protocol} fragments in"
        f" {broken.counter.queues} queues{_since(broken.seconds)}: the kernel has lost count, and"
        " drops fragmented packets there or, up to Linux 4.16, never ends the network namespace and"
        " blocks every other; move its work to another kernel, then reboot this one."
    )
    path = f"/proc/{broken.space.pids[0]}/net/{file}" if broken.space.pids else None
    return message, occupants.subject(broken.space, file=path)


def unregistration(wait: Wait, lines: int) -> tuple[str, Subject]:
    """Return message and subject of a device that is waited for again and again."""
    message = (
        f"The kernel has waited {_span(wait.seconds)} to be rid of device {wait.device}, which"
        f" something still holds {wait.references} references to ({lines} lines in its log): no"
        " network namespace is destroyed meanwhile; end what may hold it (a socket, a mount, a"
        " module that hangs), else move the pods away and reboot."
    )
    return message, Subject(interfaces=(wait.device,), holder=f"{wait.references} references")


def netfilter(why: str) -> tuple[str, Subject]:
    """Return message and subject of a netfilter that does not do as it is told."""
    message = (
        f"Netfilter fails in a fresh network namespace ({why}): services and policies of pods that"
        " start here will be wrong; move the pods away and reboot."
    )
    return message, Subject(rule="nf_tables")


def hanging(stall: Stall) -> str:
    """Return what is wrong with a netfilter that does not answer."""
    return _tried(stall, stall.seconds)


def _tried(stall: Stall, age: float) -> str:
    """Return how a canary has fared: what of it is left waits in the kernel."""
    left = [task for task in stall.tasks if task.state == "D"]
    where = f" in {_where(left[-1])}" if left else ""
    fate = " and cannot be killed" if stall.killed and stall.tasks else ""
    return f"a trial has hung for {_span(age)}{where}{fate}"


def _worker(worker: Worker, age: float) -> str:
    task, busy = worker.task, _since(max(worker.seconds, age))
    where = _where(task)
    # Where others want the processor as well, one that spins gets only its part of it.
    if worker.is_spinning or (task.state == "R" and worker.share > 0):
        return f"{task.title} runs{busy} on {worker.share:.0%} of a CPU in {where}"
    return f"{task.title} is stuck{busy} in {where} (state {task.state})"


def _writer(task: Task) -> str:
    module = teardown_causes.module(task.stack)
    what = f" (module {module})" if module else ""
    return f"{task.title} is in the way in {_where(task)}{what}"


def _where(task: Task) -> str:
    unseen = "a place that cannot be read while it runs" if task.state == "R" else "the kernel"
    return teardown_causes.telling(task.stack) or task.wchan or unseen


def _counted(blocked: Sequence[Blocked]) -> str:
    first = blocked[0]
    whose = f" of pod {first.pod.title}" if first.pod is not None else ""
    if len(blocked) == 1:
        return f"{first.task.title}{whose} waits"
    return f"{first.task.title}{whose} and {len(blocked) - 1} more wait"


def _holder(tasks: Iterable[Task]) -> str | None:
    for task in tasks:
        if task.stack:
            return " < ".join(task.stack[:_FRAMES])
    return None


def _advice(cures: Sequence[str]) -> str:
    if "SetSkbDeferMax" in cures:
        return "set net.core.skb_defer_max to 0, which lets it go on, else move the pods and reboot"
    return "move the pods away and reboot"


def _since(seconds: float) -> str:
    return f" for {_span(seconds)}" if seconds >= 1 else ""


def _span(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 120 * _MINUTE:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / 3600:.0f} h"
