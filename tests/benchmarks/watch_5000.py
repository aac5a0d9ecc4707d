"""Watching 5,000 nodes: kopf's ``on.event`` and the narrow watch, side by side in one run.

    python tests/benchmarks/watch_5000.py [--nodes 5000]

Starts a real etcd and API server, makes the Nodes (about 10 KB each, as with 50 images) and one
NodeKernelHealth (about 2 KB) for each, and then runs each watcher in a process of its own: until
it has seen every object, and through one status change of every NodeKernelHealth. CPU is user and
system time of the watcher's process from its start, imports included; peak is VmHWM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kopf
from pydantic import BaseModel

from kernelhealth_e2e import binaries, cache
from kernelhealth_e2e.controlplane import ControlPlane, Settings
from kernelhealth_e2e.progress import Progress
from kernelhealth_operator.cluster import access, views
from kernelhealth_operator.cluster.call import MERGE_PATCH
from kernelhealth_operator.cluster.envelope import NarrowObject
from kernelhealth_operator.cluster.kinds import Kind
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.cluster.watch import NarrowWatch

GROUP, VERSION, PLURAL = "bench.kernelhealth.io", "v1alpha1", "nodekernelhealths"
REPORTS = f"/apis/{GROUP}/{VERSION}/{PLURAL}"
NODES = "/api/v1/nodes"
PROGRAMS = ("kube-apiserver", "kubectl")
PATIENCE_SECONDS = 300.0
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{PLURAL}.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Cluster",
        "names": {"plural": PLURAL, "singular": "nodekernelhealth", "kind": "NodeKernelHealth"},
        "versions": [
            {
                "name": VERSION,
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


@dataclass
class Tally:
    """Which objects of which kind were seen, and how many changes came after that."""

    nodes: int
    seen: dict[str, set[str]] = field(default_factory=lambda: {"node": set(), "report": set()})
    changes: int = 0
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, kind: str, name: str) -> None:
        """Takes note of one object or change."""
        if self.complete.is_set():
            self.changes += kind == "report"
            if self.changes >= self.nodes:
                self.changed.set()
            return
        self.seen[kind].add(name)
        if all(len(names) == self.nodes for names in self.seen.values()):
            self.complete.set()


class Health(BaseModel):
    """The part of a report that decisions need."""

    health: str = ""
    problems: str = ""


class Report(NarrowObject):
    """A NodeKernelHealth, narrow."""

    status: Health = Health()


async def watch_with_kopf(kubeconfig: Path, tally: Tally) -> None:
    """Counts through kopf's lowest-level handlers: no state, no finalizers, no indices."""
    os.environ["KUBECONFIG"] = str(kubeconfig)
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**arguments: Any) -> Any:
        return kopf.login_with_kubeconfig(**arguments)

    @kopf.on.startup(registry=registry)
    def quiet(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False

    @kopf.on.event("nodes", registry=registry)
    async def node(name: str, **_: Any) -> None:
        tally.count("node", name)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def report(name: str, **_: Any) -> None:
        tally.count("report", name)

    await kopf.operator(registry=registry, clusterwide=True, standalone=True)


async def watch_narrowly(kubeconfig: Path, tally: Tally) -> None:
    """Counts through the narrow watch, with the operator's own view of Nodes."""
    async with ApiSession(await access.from_kubeconfig(kubeconfig)) as session:
        reports = Kind(REPORTS, Report, lambda one: (one.status.health, one.status.problems))

        async def read(kind: str, watch: NarrowWatch[Any, Any]) -> None:
            async for change in watch.changes():
                tally.count(kind, change.key)

        await asyncio.gather(
            read("node", NarrowWatch(session, views.nodes(()))),
            read("report", NarrowWatch(session, reports)),
        )


WATCHERS: dict[str, Callable[[Path, Tally], Awaitable[None]]] = {
    "kopf on.event": watch_with_kopf,
    "NarrowWatch": watch_narrowly,
}


async def child(watcher: str, kubeconfig: Path, nodes: int) -> None:
    """One watcher in this process; prints a line of figures when each phase is over."""
    tally = Tally(nodes)
    task = asyncio.ensure_future(WATCHERS[watcher](kubeconfig, tally))
    for reached in (tally.complete, tally.changed):
        done, _ = await asyncio.wait(
            {task, asyncio.ensure_future(reached.wait())},
            return_when=asyncio.FIRST_COMPLETED,
            timeout=PATIENCE_SECONDS,
        )
        if task in done or not done:
            sys.exit(f"{watcher} ended early or was too slow")
        print(json.dumps(figures()), flush=True)
    os._exit(0)  # What ending takes is not measured.


def figures() -> dict[str, float]:
    """CPU seconds and MiB of this process so far."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    mib = {name: int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}
    return {"cpu": time.process_time(), "rss": mib["VmRSS"], "peak": mib["VmHWM"]}


async def measure(
    watcher: str, kubeconfig: Path, nodes: int, change: Callable[[], Awaitable[None]]
) -> tuple[str, ...]:
    """Runs one watcher through both phases; a row of the table."""
    started = time.monotonic()
    arguments = ["--child", watcher, "--kubeconfig", str(kubeconfig), "--nodes", str(nodes)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    try:
        first = json.loads(await process.stdout.readline())
        seen = time.monotonic() - started
        await change()
        last = json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    return (
        watcher,
        f"{seen:.1f} s",
        f"{first['cpu']:.2f} s",
        f"{first['rss']:.0f} MiB",
        f"{last['peak']:.0f} MiB",
        f"{last['cpu'] - first['cpu']:.2f} s",
    )


def node(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Node and its status."""
    labels = {"topology.kubernetes.io/zone": f"zone-{number % 3}", "pool": f"pool-{number % 5}"}
    metadata = {"name": f"node-{number}", "labels": labels}
    images = [
        {"names": [f"registry.example/team/app-{image}@sha256:{'a' * 64}"], "sizeBytes": 10**8}
        | {"names": [f"registry.example/team/app-{image}:v1", f"r.example/a@sha256:{'b' * 64}"]}
        for image in range(55)
    ]
    conditions = [
        {"type": kind, "status": "False", "reason": f"KubeletHas{kind}", "message": "sufficient"}
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    ]
    return (
        {"apiVersion": "v1", "kind": "Node", "metadata": metadata},
        {"status": {"images": images, "conditions": conditions}},
    )


def report(number: int, generation: int) -> dict[str, Any]:
    """The status of a NodeKernelHealth."""
    conditions = [
        {
            "type": f"Part{part}Healthy",
            "status": "True",
            "reason": "NothingWrong",
            "message": "m" * 40,
        }
        for part in range(14)
    ]
    health = "Critical" if (number + generation) % 10 == 0 else "Healthy"
    return {
        "status": {"health": health, "problems": f"look {generation}", "conditions": conditions}
    }


async def each(numbers: Iterable[int], work: Callable[[int], Awaitable[object]]) -> None:
    """Does *work* for all numbers, 40 at a time."""
    left = iter(numbers)

    async def worker() -> None:
        for number in left:
            await work(number)

    await asyncio.gather(*(worker() for _ in range(40)))


async def fill(session: ApiSession, nodes: int) -> None:
    """Makes all Nodes and reports."""
    await session.request(
        "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body=CRD
    )

    async def make(number: int) -> None:
        body, status = node(number)
        name = body["metadata"]["name"]
        await session.request("POST", NODES, body=body)
        await session.request(
            "PATCH", f"{NODES}/{name}/status", body=status, content_type=MERGE_PATCH
        )

    await each(range(nodes), make)
    kind = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "NodeKernelHealth"}

    async def make_report(number: int) -> None:
        await session.request(
            "POST", REPORTS, body={**kind, "metadata": {"name": f"node-{number}"}}
        )

    await each(range(nodes), make_report)
    await change_all(session, nodes, 0)


async def change_all(session: ApiSession, nodes: int, generation: int) -> None:
    """Writes the status of every report."""

    async def write(number: int) -> None:
        path = f"{REPORTS}/node-{number}/status"
        body = report(number, generation)
        await session.request("PATCH", path, body=body, content_type=MERGE_PATCH)

    await each(range(nodes), write)


async def parent(nodes: int) -> None:
    """Fills a control plane, measures each watcher, prints the table."""
    progress = Progress()
    found = binaries.find(cache.Cache(cache.directory(os.environ)), os.environ, progress, PROGRAMS)
    with (
        tempfile.TemporaryDirectory() as directory,
        ControlPlane(Settings(found, Path(directory))) as plane,
    ):
        async with ApiSession(await access.from_kubeconfig(plane.kubeconfig)) as session:
            print(f"making {nodes} Nodes and {nodes} NodeKernelHealth objects …", flush=True)
            await fill(session, nodes)
            rows = []
            for generation, watcher in enumerate(WATCHERS, start=1):

                async def change(generation: int = generation) -> None:
                    await change_all(session, nodes, generation)

                rows.append(await measure(watcher, plane.kubeconfig, nodes, change))
    show(nodes, rows)


def show(nodes: int, rows: list[tuple[str, ...]]) -> None:
    """Prints the table."""
    head = ("watcher", "all seen after", "CPU", "resident", "peak", f"CPU per {nodes} changes")
    for row in (head, *rows):
        print(
            "  ".join(
                cell.ljust(width) for cell, width in zip(row, (14, 14, 7, 8, 8, 22), strict=True)
            )
        )


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--child", choices=list(WATCHERS), help=argparse.SUPPRESS)
    parser.add_argument("--kubeconfig", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        asyncio.run(child(arguments.child, arguments.kubeconfig, arguments.nodes))
    else:
        asyncio.run(parent(arguments.nodes))


if __name__ == "__main__":
    main()
