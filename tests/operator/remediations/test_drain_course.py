"""A drain in a model of the cluster: old lists, lost steps, slow pods, people who evict as well.

The model's server lets go of healthy pods only as many as their budget allows, as the real one
does; it hides nothing from the drain but what a cache may be late with.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kernelhealth_api.procedure import (
    Await,
    DeletePod,
    Evict,
    Finished,
    GaveUp,
    Patient,
    Proceed,
    Progress,
)
from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec
from kernelhealth_api.v1alpha1.noderemediation import RungState
from kernelhealth_operator.policy import pdbs, pods
from kernelhealth_operator.remediations.drain import Drain, WhenBlocked, advance, reads

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
TICK = timedelta(seconds=5)
TICKS = 400
APPS = ("web", "db")


@dataclass(frozen=True)
class Tenant:
    """A pod; *slowness* is how many ticks it takes to end once it is told to."""

    name: str
    app: str
    daemon: bool = False
    ready: bool = True
    slowness: int = 1
    ending: int | None = None

    def body(self) -> dict[str, Any]:
        kind = "DaemonSet" if self.daemon else "StatefulSet"
        owner = {"apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "u", "controller": True}
        metadata = {
            "namespace": self.app,
            "name": self.name,
            "uid": f"uid-{self.name}",
            "ownerReferences": [owner],
        }
        if self.ending is not None:
            metadata["deletionTimestamp"] = "2026-01-01T12:00:00Z"
        ready = {"type": "Ready", "status": "True" if self.ready else "False"}
        return {"metadata": metadata, "status": {"phase": "Running", "conditions": [ready]}}


@dataclass
class World:
    """One node and the rest of the cluster, where what has left is made anew after a while.

    *least* is how many healthy pods each application must keep, *elsewhere* how many it has on
    other nodes, *coming* in how many ticks more of them are ready.
    """

    tenants: dict[str, Tenant]
    least: dict[str, int]
    recovers: bool = True
    elsewhere: dict[str, int] = field(default_factory=lambda: dict.fromkeys(APPS, 1))
    coming: list[tuple[str, int]] = field(default_factory=list)
    old: list[dict[str, Any]] = field(default_factory=list)
    newcomers: list[Tenant] = field(default_factory=list)

    def healthy(self, app: str) -> int:
        mine = [each for each in self.tenants.values() if each.app == app and not each.daemon]
        return sum(each.ready and each.ending is None for each in mine) + self.elsewhere[app]

    def allowed(self, app: str) -> int:
        return max(0, self.healthy(app) - self.least[app])

    def evict(self, name: str) -> None:
        """As the Eviction API: what is not ready may go while the others are enough."""
        tenant = self.tenants.get(name)
        if tenant is None:
            return
        enough = self.healthy(tenant.app) >= self.least[tenant.app] > 0
        if self.allowed(tenant.app) or (enough and not tenant.ready):
            self.delete(name)

    def delete(self, name: str) -> None:
        tenant = self.tenants.get(name)
        if tenant is not None and tenant.ending is None:
            self.tenants[name] = replace(tenant, ending=tenant.slowness)

    def tick(self) -> None:
        """Five seconds pass; whom the scheduler had placed before the node was closed comes."""
        self.old = self.listed()
        if self.newcomers:
            late = self.newcomers.pop()
            self.tenants[late.name] = late
        for name, tenant in list(self.tenants.items()):
            if tenant.ending is not None and tenant.ending <= 0:
                del self.tenants[name]
                if self.recovers:
                    self.coming.append((tenant.app, 3))
            elif tenant.ending is not None:
                self.tenants[name] = replace(tenant, ending=tenant.ending - 1)
        self.coming = [(app, left - 1) for app, left in self.coming]
        for app, left in self.coming:
            self.elsewhere[app] += left == 0
        self.coming = [each for each in self.coming if each[1] > 0]

    def listed(self) -> list[dict[str, Any]]:
        return [each.body() for each in self.tenants.values()]

    def read(self, path: str, *, late: bool) -> dict[str, Any]:
        if path == pods.path("worker-1", exact=True):
            return {"items": self.listed()}
        if path == pods.path("worker-1", exact=False):
            return {"items": self.old if late else self.listed()}
        (app,) = (each for each in APPS if path == pdbs.path(each))
        metadata = {"namespace": app, "name": app, "generation": 1}
        status = {"observedGeneration": 1, "disruptionsAllowed": self.allowed(app)}
        counts = {"currentHealthy": self.healthy(app), "desiredHealthy": self.least[app]}
        budget = {"metadata": metadata, "spec": {"selector": {}}, "status": {**status, **counts}}
        return {"items": [budget]}

    def on_their_way(self) -> int:
        return sum(each.ending is not None for each in self.tenants.values() if not each.daemon)

    def due(self) -> set[str]:
        return {each.name for each in self.tenants.values() if not each.daemon}


@dataclass
class Operator:
    """Whoever asks the drain how to go on; it keeps nothing but what is written in the rung."""

    world: World
    drain: Drain
    rung: RungState = field(default_factory=lambda: RungState(action="drain", state="Pending"))
    deleted: set[str] = field(default_factory=set)

    def look(self, now: datetime, *, late: bool, cut: bool) -> Progress:
        """One step; *cut*: stopped after what is written, before it is done."""
        sick = Patient(
            now=now,
            name="worker-1",
            uid="uid-1",
            resource_version="7",
            owner="abc",
            number=0,
            rung=self.rung,
            policy=KernelHealthPolicySpec(),
        )
        while missing := [path for path in reads(sick, self.drain) if path not in sick.read]:
            more = {path: self.world.read(path, late=late) for path in missing}
            sick = replace(sick, read={**sick.read, **more})
        progress = advance(sick, self.drain)
        if isinstance(progress, Proceed):
            stepped = now if progress.effects else self.rung.stepped_at
            begun = self.rung.started_at or now
            self.rung = self.rung.model_copy(update={"started_at": begun, "stepped_at": stepped})
            if not cut:
                self.carry_out(progress)
        return progress

    def carry_out(self, progress: Proceed) -> None:
        for effect in progress.effects:
            assert isinstance(effect, Evict | DeletePod)
            tenant = self.world.tenants.get(effect.name)
            assert tenant is None or not tenant.daemon
            assert effect.uid == f"uid-{effect.name}"
            if isinstance(effect, Evict):
                self.world.evict(effect.name)
            else:
                self.deleted.add(effect.name)
                self.world.delete(effect.name)


@st.composite
def tenants(draw: st.DrawFn) -> dict[str, Tenant]:
    count = draw(st.integers(0, 12))
    return {
        f"pod-{number}": Tenant(
            f"pod-{number}",
            draw(st.sampled_from(APPS)),
            daemon=draw(st.integers(0, 5)) == 0,
            ready=draw(st.integers(0, 3)) > 0,
            slowness=draw(st.sampled_from((0, 1, 1, 12))),
            ending=draw(st.sampled_from((None, None, None, 2))),
        )
        for number in range(count)
    }


def world(found: dict[str, Tenant], least: int, *, recovers: bool) -> World:
    one = World(found, dict.fromkeys(APPS, least), recovers)
    one.old = one.listed()
    return one


FLAGS = st.lists(st.booleans(), min_size=1, max_size=40)


@dataclass(frozen=True)
class Mischief:
    """When the lists are late, when the operator is stopped, and whom other people evict."""

    late: list[bool]
    cut: list[bool]
    others: list[int]

    def is_late(self, number: int) -> bool:
        return self.late[number % len(self.late)]

    def is_cut(self, number: int) -> bool:
        return number < len(self.cut) and self.cut[number]


MISCHIEF = st.builds(Mischief, FLAGS, FLAGS, st.lists(st.integers(0, 11)))


@settings(max_examples=150)
@given(tenants(), st.integers(0, 2), st.integers(0, 3), MISCHIEF, st.integers(1, 5))
def test_every_drain_ends_with_an_empty_node_when_what_left_is_made_anew(
    found: dict[str, Tenant], least: int, newcomers: int, mischief: Mischief, at_once: int
) -> None:
    model = world(found, least, recovers=True)
    model.elsewhere = dict.fromkeys(APPS, least + 1)
    model.newcomers = [Tenant(f"late-{number}", "web") for number in range(newcomers)]
    operator = Operator(model, Drain(timeout=timedelta(0), at_once=at_once))

    for number in range(TICKS):
        if number < len(mischief.others):
            model.evict(f"pod-{mischief.others[number]}")
        now, asked = START + number * TICK, model.on_their_way()
        progress = operator.look(now, late=mischief.is_late(number), cut=mischief.is_cut(number))
        assert model.on_their_way() <= max(asked, at_once) or mischief.is_late(number)
        if isinstance(progress, Finished):
            break
        model.tick()
    else:
        raise AssertionError(f"still at it: {progress}, {model.due()}")

    assert model.due() == set()
    assert operator.deleted == set()


@settings(max_examples=150)
@given(tenants(), st.integers(1, 8), FLAGS, st.sampled_from(WhenBlocked))
def test_every_drain_ends_in_time_when_nothing_is_made_anew_and_no_budget_is_broken(
    found: dict[str, Tenant], least: int, late: list[bool], when: WhenBlocked
) -> None:
    model = world(found, least, recovers=False)
    operator = Operator(
        model,
        Drain(timeout=timedelta(minutes=10), when_blocked=when, blocked_after=timedelta(minutes=1)),
    )
    healthy = {app: model.healthy(app) for app in APPS}

    for number in range(TICKS):
        progress = operator.look(START + number * TICK, late=late[number % len(late)], cut=False)
        if isinstance(progress, Finished | GaveUp):
            break
        assert isinstance(progress, Await | Proceed)
        model.tick()
    else:
        raise AssertionError(f"still at it: {progress}, {model.due()}")

    assert isinstance(progress, Finished) == (model.due() == set())
    assert number * TICK <= timedelta(minutes=11)
    if when is not WhenBlocked.DELETE:
        assert operator.deleted == set()
        assert all(model.healthy(app) >= min(least, healthy[app]) for app in APPS)
