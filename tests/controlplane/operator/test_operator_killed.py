"""A course of treatment whose operator is killed at every single write: it ends as if it had not.

Each life of the operator gets one write further, or none: the next life has to make it good. The
processes are real and are ended by SIGKILL; the agent is played, with its journal.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kernelhealth_e2e import kubeconfig
from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.gate import Gate, opened
from kernelhealth_e2e.operators import launch, operator
from kernelhealth_e2e.props import (
    HEALTHS,
    LEAK,
    LEASES,
    NODES,
    REMEDIATIONS,
    Object,
    auto,
    is_cordoned,
    reported,
)
from kernelhealth_e2e.stage import Stage
from kernelhealth_operator.cluster.call import APPLY_PATCH, Patience

LEASE = "kernelhealth-operator"
CURE = "UnloadRpcGssModule"
MOST_LIVES = 120
LEAST_ENDS = 8
"""Fewer writes cannot do all of it: create, begin, cordon, note, ask, note, give back, end."""
PATIENT = Patience(attempts=8)


@dataclass
class Agent:
    """Plays the agent of a node whose leak one cure ends; *done* has each request as it is done."""

    stage: Stage
    name: str
    done: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def falls_ill(self) -> None:
        body = reported(self.name, (LEAK,), "Critical", next(self.stage.stamps))
        body["status"]["findings"][0]["cures"] = [CURE]
        await self._apply(body)

    async def works(self) -> None:
        """Does what it is asked, once for each id, until cancelled."""
        while True:
            health = await self.stage.until(HEALTHS, self.name, self._is_news, 600)
            request = health["spec"]["request"]
            self.asked.append(request["id"])
            assert request["action"] == {"reclaim": {"fix": CURE, "reasons": [LEAK]}}
            self.done.append(request["id"])
            body = reported(self.name, (), "Critical", next(self.stage.stamps))
            answer = {"id": request["id"], "state": "Succeeded", "message": "It was unloaded."}
            body["status"]["request"] = answer
            await self._apply(body)

    def _is_news(self, health: Object) -> bool:
        request = health.get("spec", {}).get("request")
        return request is not None and request["id"] not in self.done

    async def _apply(self, body: Object) -> None:
        await self.stage.session.request(
            "PATCH",
            f"{HEALTHS}/{self.name}/status",
            body=body,
            content_type=APPLY_PATCH,
            field_manager="kernelhealth-agent",
            force=True,
            patience=PATIENT,
        )


@dataclass
class Fate:
    """At which write the next life ends: the first of all at which none has ended before.

    A step of two writes begins anew when it was stopped between them, so a life that would end
    where another one did is let through to the write after that.
    """

    gate: Gate
    carried_out: bool
    ends: set[str] = field(default_factory=set)
    allowed: int = 1

    def ended(self) -> None:
        end = self.gate.writes[-1]
        least = 1 if self.carried_out else 2
        self.allowed = self.allowed + 1 if end in self.ends else least
        self.ends.add(end)


@pytest.mark.parametrize(
    "carried_out",
    [
        pytest.param(True, id="after it was carried out, before it was answered"),
        pytest.param(False, id="before it arrived"),
    ],
)
async def test_an_operator_killed_at_every_write_ends_what_it_began_and_does_nothing_twice(
    plane: ControlPlane, stage: Stage, tmp_path: Path, *, carried_out: bool
) -> None:
    actions = [{"cordon": {}}, {"reclaim": {"verifyWithin": "5m"}}]
    rule = {"name": "leaking", "match": {"reasons": [LEAK]}, "actions": actions}
    await stage.policy("workers", **auto(rules=[rule]))
    with operator(plane.kubeconfig, tmp_path, "before"):
        await stage.healthy_nodes("alpha", "beta")
        await stage.mirrored("alpha", "Healthy")
        await stage.mirrored("beta", "Healthy")
    agent = Agent(stage, "alpha")
    await agent.falls_ill()

    working = asyncio.create_task(agent.works())
    async with opened(plane.server, plane.ca, _is_counted) as gate:
        access = tmp_path / "gate.kubeconfig"
        kubeconfig.write(access, server=gate.address, ca=plane.ca, token=plane.token)
        fate, lives = Fate(gate, carried_out), 0
        while not await _is_over(stage):
            lives += 1
            assert lives < MOST_LIVES, gate.writes
            await _live(stage, fate, access, tmp_path / str(lives))
    await stage.delete(LEASES, LEASE)
    with operator(plane.kubeconfig, tmp_path, "after"):
        await stage.until(HEALTHS, "alpha", lambda one: "request" not in one["spec"])
        await stage.mirrored("alpha", "Healthy")
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working

    (treatment,) = await stage.items(REMEDIATIONS)
    states = [(rung["action"], rung["state"]) for rung in treatment["status"]["rungs"]]
    assert treatment["status"]["phase"] == "Succeeded"
    assert states == [("cordon", "Reverted"), ("reclaim", "Done")]
    assert len(agent.done) == 1
    assert treatment["status"]["rungs"][1]["requests"] == agent.done
    for node in await stage.items(NODES):
        assert not is_cordoned(node)
        assert not any("by" in key for key in node["metadata"].get("annotations", {}))
    assert len(fate.ends) >= LEAST_ENDS, fate.ends


async def _live(stage: Stage, fate: Fate, access: Path, directory: Path) -> None:
    """One life of the operator: to the write at which it is killed, or to the end of it all."""
    # Whoever is dead will not come back: nobody has to wait until its lease is over.
    await stage.delete(LEASES, LEASE)
    one = launch(access, directory, "one")
    gate = fate.gate
    gate.allow(fate.allowed, carried_out=fate.carried_out, sender=one.kill)
    shut = asyncio.create_task(gate.shut.wait())
    over = asyncio.create_task(stage.until(REMEDIATIONS, None, _has_ended))
    try:
        async with asyncio.timeout(60):
            await asyncio.wait((shut, over), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (shut, over):
            task.cancel()
        await asyncio.gather(shut, over, return_exceptions=True)
        one.kill()
    assert "Traceback" not in one.log()
    fate.ended()


async def _is_over(stage: Stage) -> bool:
    return any(_has_ended(one) for one in await stage.items(REMEDIATIONS))


def _has_ended(treatment: Object) -> bool:
    return "finishedAt" in treatment.get("status", {})


def _is_counted(path: str) -> bool:
    """Whether a write is one of the course; what is told about it beside it is not."""
    return path.startswith((NODES, HEALTHS, REMEDIATIONS))
