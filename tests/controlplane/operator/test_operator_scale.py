"""Thousands of nodes: a start at which nothing differs writes nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.operators import operator
from kernelhealth_e2e.props import HEALTHS, LEASES, NODES, POLICIES, auto
from kernelhealth_e2e.stage import Stage

NODES_AT_ONCE = 40
SIZE = 1000
PATIENCE = 300.0


async def test_a_start_with_all_in_place_writes_nothing(
    plane: ControlPlane, stage: Stage, tmp_path: Path
) -> None:
    await stage.policy("workers", **auto())
    room = asyncio.Semaphore(NODES_AT_ONCE)

    async def register(number: int) -> None:
        async with room:
            await stage.node(f"node-{number}")

    async def report(number: int) -> None:
        async with room:
            await stage.report_known(f"node-{number}")

    await asyncio.gather(*(register(number) for number in range(SIZE)))
    with operator(plane.kubeconfig, tmp_path, "first", workers="32") as first:
        await stage.until(POLICIES, "workers", lambda one: _count(one, "nodes") == SIZE, PATIENCE)
        first.process.await_ready(lambda: first.writes().get("health spec", 0) >= SIZE, PATIENCE)
        await asyncio.gather(*(report(number) for number in range(SIZE)))
        await stage.until(POLICIES, "workers", lambda one: _count(one, "healthy") == SIZE, PATIENCE)
        first.process.await_ready(lambda: first.writes().get("node status", 0) >= SIZE, PATIENCE)
    with operator(plane.kubeconfig, tmp_path, "second", events_burst="1") as second:
        await stage.until(LEASES, "kernelhealth-operator", _led_by_second, PATIENCE)
        looks = "kernelhealth_reconcile_duration_seconds_count"
        second.process.await_ready(lambda: second.scrape().get(looks, 0) >= SIZE, PATIENCE)

        writes = second.writes()

    assert writes == {}
    assert len(await stage.items(NODES)) == len(await stage.items(HEALTHS)) == SIZE


def _count(policy: dict[str, dict[str, int]], name: str) -> int:
    return policy.get("status", {}).get(name, 0)


def _led_by_second(lease: dict[str, dict[str, str]]) -> bool:
    return lease.get("spec", {}).get("holderIdentity") == "second"
