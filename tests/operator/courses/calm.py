"""How every course ends: all faults cease, and every incident has to end."""

from __future__ import annotations

from datetime import timedelta

from kernelhealth_api.remediation import TAINTED_BY
from kernelhealth_operator.policy.reprieve import LET_BE
from kernelhealth_operator.policy.situation import Policy

from .cluster import NAMES
from .marks import MARKS, mark_of
from .nature import ready
from .plans import MOST, START, spec
from .pledge import pledge
from .server import OPERATOR
from .world import World


def calm_down(world: World) -> None:
    """From now on nothing goes wrong any more, but those that are sick stay so."""
    world.ahead.trouble = None
    while world.late:
        world.land()
    world.rule(Policy("all", START, 1, spec(world.plan)))
    world.server.pods.budget, world.server.pods.grudges = 1, False
    world.silent.clear()
    for name in NAMES:
        if name not in world.server.nodes:
            world.join(name)
        host = world.hosts[name]
        host.unmeasured, host.clock = frozenset(), timedelta(0)
        status = {"status": {"conditions": ready(True)}}
        world.server.edit(world.server.nodes, name, status, "kubelet")
        world.report(name)


def what_lasts_ends(world: World) -> None:
    """Treatments that do not help end all the same, or say for what they wait with good reason."""
    # They may have to go one by one, and each to wait for the window of the next day.
    for jump in range(150):
        world.settle()
        if not _unfinished(world):
            break
        world.server.now += timedelta(minutes=61 if jump < 30 else 125)
    pledge(not _unfinished(world), f"an incident does not end: {_unfinished(world)}")


def all_get_well(world: World) -> None:
    """Every treatment ends, and every node is given back as it was."""
    for host in world.hosts.values():
        host.reasons = frozenset()
    by_people = {n for n in NAMES if world.server.hand(n) not in {None, OPERATOR}}
    for minutes in (11, 11, 11, 11, 11, 125, 1):
        world.settle()
        if not _at_work(world):
            break
        world.server.now += timedelta(minutes=minutes)
    for name in NAMES:
        node, still = world.server.nodes[name], f"all are well, but {name} still "
        annotations = node["metadata"]["annotations"]
        ended = all(one.status.phase.final for one in world.treatments(name))
        pledge(ended, f"{still}has an open treatment: {world.treatments(name)}")
        pledge(not any(annotations.get(mark) for mark in MARKS), f"{still}bears a mark")
        closed = bool(node["spec"].get("unschedulable"))
        pledge(closed == (name in by_people), f"{still}is not as people left it")
        keys = [one["key"] for one in node["spec"]["taints"]]
        pledge(keys == ["team"], f"{still}has the taints {keys}")
        pledge(world.request(name) is None, f"{still}is asked for something")
        pledge(LET_BE not in annotations, f"{still}is to be let be")


def _at_work(world: World) -> bool:
    """Whether a treatment is open, or something is still to be taken off a Node."""
    annotations = (world.server.nodes[name]["metadata"]["annotations"] for name in NAMES)
    return any(each.keys() & {LET_BE, *MARKS} for each in annotations) or any(
        world.open(name) for name in NAMES
    )


def _unfinished(world: World) -> list[str]:
    """What is still to come, though all is calm."""
    found = ((name, world.open(name)) for name in NAMES)
    return [
        f"{treatment.name} waits for {treatment.status.waiting_for!r}"
        for name, treatment in found
        if treatment and not _may_last(world, name, treatment.status.waiting_for or "")
    ]


def _may_last(world: World, name: str, why: str) -> bool:
    """Whether a treatment may go on for as long as its node is sick, though all is calm.

    It may where nothing is left to do, and where others that are as sick take up the room.
    """
    if why.startswith("MaxUnavailable"):
        return len([one for one in NAMES if one != name and _is_out(world, one)]) >= MOST
    if why.startswith("ControlPlaneBusy"):
        return any(one != name and _is_out(world, one) for one in NAMES)
    if why.startswith("ForeignCordon"):
        return world.server.hand(name) == "person"
    return why.startswith(("FindingsRemain", "StormAftermath"))


def _is_out(world: World, name: str) -> bool:
    """Whether a Node is out of service, or something is being done to it."""
    node, treatment = world.server.nodes[name], world.open(name)
    done = treatment is not None and any(rung.state != "Pending" for rung in treatment.status.rungs)
    return done or "unschedulable" in node["spec"] or bool(mark_of(node, TAINTED_BY))
