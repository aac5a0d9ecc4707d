"""What deciding costs: all nodes after a change of the policy, and one node after an event.

    python tests/benchmarks/decisions.py [--nodes 5000] [--findings 200]

No API server: the operator's own state is filled with nodes, reports and treatments, and what the
watches would tell it is told. CPU is user and system time of this process. The first table is of a
policy that changes: taken in, and every node gathered and decided about once. The second is of
events of one node each, with all looks at nodes that follow from it; it shows the growth with the
size of the cluster at the same share of sick nodes. Exits with 1 when the policy takes more than
two seconds.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kernelhealth_api import registry
from kernelhealth_api.remediation import Remediation
from kernelhealth_operator import gather, kinds, remediations
from kernelhealth_operator.fleet import Clock, Fleet
from kernelhealth_operator.headcount import Listener
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.decision import Decision
from kernelhealth_operator.policy.situation import Policy
from kernelhealth_operator.silence import Hearing

START = datetime(2026, 1, 1, tzinfo=UTC)
LEAK = "NetworkNamespaceLeaked"
BUDGET_SECONDS = 2.0
SIZES = (500, 5_000, 15_000)
EVENTS = 200


@dataclass
class World:
    """An operator's memory; *dirty* are the nodes that it was told to look at."""

    nodes: int
    sick: int
    seconds: float = 0.0
    version: int = 0
    dirty: dict[str, None] = field(default_factory=dict)
    looks: int = 0
    fleet: Fleet = field(init=False)
    remediations: tuple[Remediation[Any], ...] = registry.load(
        remediations, "REMEDIATION", Remediation
    )

    def __post_init__(self) -> None:
        clock = Clock(lambda: START + timedelta(seconds=self.seconds), lambda: self.seconds)
        listener = Listener(lambda name: self.dirty.update({name: None}), lambda _: None)
        self.fleet = Fleet(clock, Hearing(1e9), listener, {})
        self.policy("10%")
        for number in range(self.nodes):
            self.node(number)
            self.health(number, sick=number < self.sick)
        for number in range(self.sick):
            self.treatment(number, "Running" if number < self.sick // 20 else "Waiting")
        self.settle()

    def next(self) -> str:
        """The next resource version."""
        self.version += 1
        return str(self.version)

    def node(self, number: int, *, ready: bool = True) -> None:
        """Tells of a Node."""
        zone = {"topology.kubernetes.io/zone": f"zone-{number % 3}"}
        self.fleet.put_node(
            kinds.node_of(
                {
                    "metadata": self.metadata(f"node-{number}") | {"labels": zone},
                    "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
                }
            )
        )

    def health(self, number: int, *, sick: bool) -> None:
        """Tells of a report."""
        # Spread over days, as leaks are: a storm is asked for by its own event below.
        since = (START - timedelta(hours=number)).isoformat()
        finding = {"reason": LEAK, "severity": "Critical", "message": "m", "since": since}
        status = {
            "health": "Critical" if sick else "Healthy",
            "findings": [finding] if sick else [],
            "lastReportTime": (START + timedelta(seconds=int(self.next()))).isoformat(),
            "bootTime": (START - timedelta(days=9)).isoformat(),
        }
        metadata = self.metadata(f"node-{number}")
        self.fleet.put_health(kinds.health_of({"metadata": metadata, "status": status}))

    def treatment(self, number: int, phase: str) -> None:
        """Tells of a NodeRemediation."""
        name = f"node-{number}"
        metadata = self.metadata(f"{name}-t") | {"creationTimestamp": START.isoformat()}
        spec = {
            "nodeName": name,
            "nodeUid": f"u-{name}",
            "policy": "all",
            "rule": "leaking",
            "reasons": [LEAK],
            "plan": [{"cordon": {}}],
        }
        rungs = [{"action": "cordon", "state": "Pending"}]
        waiting = "MaxUnavailable: no room" if phase == "Waiting" else None
        status = {"phase": phase, "rungs": rungs, "waitingFor": waiting}
        body = {"metadata": metadata, "spec": spec, "status": status}
        self.fleet.put_treatment(kinds.treatment_of(body))

    def policy(self, most: str) -> None:
        """Tells of a policy that lets so many be unavailable."""
        rule = {"name": "leaking", "match": {"reasons": [LEAK]}, "actions": [{"cordon": {}}]}
        spec = {
            "mode": "Auto",
            "rules": [rule],
            "disruption": {"maxUnavailable": most, "maxUnavailablePerZone": most},
        }
        metadata = self.metadata("all") | {"creationTimestamp": START.isoformat()}
        view = kinds.policy_of({"metadata": metadata, "spec": spec})
        self.fleet.put_policy(Policy(view.name, view.created, self.version, view.spec))

    def metadata(self, name: str) -> dict[str, Any]:
        """The metadata of the next version of an object."""
        return {"name": name, "uid": f"u-{name}", "resourceVersion": self.next()}

    def look(self, name: str) -> Decision:
        """Gathers and decides, as the operator does in each look."""
        self.looks += 1
        standing = self.fleet.refresh(name)
        if standing is None:
            return Decision()
        now = START + timedelta(seconds=self.seconds)
        return decide(gather.situation(self.fleet, standing, now, gather.Said()), self.remediations)

    def settle(self) -> None:
        """Looks at every node that it was told to look at."""
        names, self.dirty = tuple(self.dirty), {}
        for name in names:
            self.look(name)
        self.dirty.clear()


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds that *work* takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def policy_change(nodes: int, sick: int) -> tuple[float, int]:
    """CPU seconds of a change of the policy, and how many nodes were decided about."""
    world, worst = World(nodes, sick), 0.0
    for most in ("20%", "15%", "25%"):
        world.looks = 0

        def change(most: str = most) -> None:
            world.policy(most)
            world.settle()

        worst = max(worst, cpu(change))
    return worst, world.looks


def _reports(world: World, number: int) -> None:
    world.health(world.nodes - 1 - number, sick=False)


def _heartbeat(world: World, number: int) -> None:
    world.node(world.nodes - 1 - number)


def _falls_ill(world: World, number: int) -> None:
    world.health(world.nodes - 1 - number, sick=True)


def _goes_down(world: World, number: int) -> None:
    world.node(world.nodes - 1 - number, ready=False)


def _storm(world: World, number: int) -> None:
    world.seconds += 1
    world.health(world.nodes - 1 - number, sick=True)


def _ends(world: World, number: int) -> None:
    chosen = number % max(1, world.sick // 20)
    world.treatment(
        chosen, "Succeeded" if (number // max(1, world.sick // 20)) % 2 == 0 else "Running"
    )


KINDS: dict[str, Callable[[World, int], None]] = {
    "heartbeat of a kubelet": _heartbeat,
    "report of a healthy node": _reports,
    "a node goes down": _goes_down,
    "a node falls ill": _falls_ill,
    "a node falls ill in a storm": _storm,
    "a treatment begins or ends": _ends,
}


def events(world: World, event: Callable[[World, int], None]) -> tuple[float, float]:
    """Mean CPU seconds of one event with the looks that follow, and how many looks those are."""
    world.looks = 0

    def all_of_them() -> None:
        for number in range(EVENTS):
            event(world, number)
            world.settle()

    gc.collect()
    mean, looks = cpu(all_of_them) / EVENTS, world.looks / EVENTS
    for number in range(EVENTS):
        world.node(world.nodes - 1 - number)
        world.health(world.nodes - 1 - number, sick=False)
    world.settle()
    return mean, looks


def main() -> int:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5_000)
    parser.add_argument("--findings", type=int, default=200)
    options = parser.parse_args()
    seconds, looks = policy_change(options.nodes, options.findings)
    print(f"a policy changes: {options.nodes} nodes, {options.findings} findings")
    print(f"  {seconds:.2f} s of CPU, {looks} decisions, {seconds / looks * 1e6:.0f} us each")
    print(f"  allowed: {BUDGET_SECONDS:.0f} s")
    print(f"\n{'one event, us of CPU (looks)':30}", *(f"{size:>16}" for size in SIZES), "  growth")
    share = options.findings / options.nodes
    worlds = [World(size, int(size * share)) for size in SIZES]
    for name, event in KINDS.items():
        row = [events(world, event) for world in worlds]
        cells = (f"{mean * 1e6:8.0f} ({count:5.1f})" for mean, count in row)
        print(f"{name:30}", *cells, f"  x{row[-1][0] / row[0][0]:.1f}")
    print(f"{'the cluster grows':30}", " " * 50, f"x{SIZES[-1] / SIZES[0]:.1f}")
    return int(seconds > BUDGET_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
