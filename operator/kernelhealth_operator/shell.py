"""The operator put together: what knows what, what always runs, and what runs while leading."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from kernelhealth_operator import metrics, probes
from kernelhealth_operator.cluster.backoff import Backoff
from kernelhealth_operator.cluster.errors import ApiError
from kernelhealth_operator.cluster.leadership import Leadership
from kernelhealth_operator.cluster.views import NodeModel, NodeView
from kernelhealth_operator.cluster.watch import NarrowWatch
from kernelhealth_operator.feeds import Feeds, follow
from kernelhealth_operator.fleet import Fleet
from kernelhealth_operator.held import HealthView
from kernelhealth_operator.kinds import HealthModel
from kernelhealth_operator.policies import Policies
from kernelhealth_operator.reconcile import Reconciler
from kernelhealth_operator.settings import Settings
from kernelhealth_operator.silence import Hearing

_LOGGER = logging.getLogger(__name__)
_POLICY_SWEEP_SECONDS = 15.0
"""A policy that was deleted while kopf did not watch goes on governing for no longer than this."""
_POLICY_SWEEPS = 20
"""After so many the treatments are listed as well, of which there can be tens of thousands."""
_SWEEP_BACKOFF = Backoff(first=0.5, most=15.0)


@dataclass(frozen=True, slots=True)
class Shell:
    """All parts of one running operator."""

    settings: Settings
    nodes: NarrowWatch[NodeModel, NodeView]
    healths: NarrowWatch[HealthModel, HealthView]
    leadership: Leadership
    fleet: Fleet
    hearing: Hearing
    feeds: Feeds
    policies: Policies
    reconciler: Reconciler
    pulse: probes.Pulse
    measurements: metrics.Measurements

    async def run(self) -> None:
        """Runs until cancelled, or until a part fails that cannot go on without a restart."""
        runner = await metrics.serve(
            self.measurements.registry, self.settings.metrics_host, self.settings.metrics_port
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.pulse.beat(self._listen))
                group.create_task(follow(self.nodes, self.fleet.put_node, self.fleet.drop_node))
                put, drop = self.fleet.put_health, self.fleet.drop_health
                group.create_task(follow(self.healths, put, drop))
                group.create_task(self.leadership.run(self._lead))
        finally:
            await runner.cleanup()

    def complaints(self) -> Iterator[str]:
        """Why this process should be restarted; nothing while all is well."""
        now = time.monotonic()
        watches = {
            kind: now - watch.last_heard
            for kind, watch in (("Node", self.nodes), ("NodeKernelHealth", self.healths))
            if watch.synced.is_set()
        }
        looks = {name: now - begun for name, begun in self.measurements.working.items()}
        vitals = probes.Vitals(watches, looks, self.pulse.stalled, now - self.pulse.last)
        return probes.complaints(vitals, probes.Limits())

    def _listen(self) -> None:
        self.hearing.listen(self.healths.last_heard)

    async def _lead(self) -> None:
        """What the leader does; begun only when everything is known that others have written."""
        await self.nodes.synced.wait()
        await self.healths.synced.wait()
        await self._sweep(self.feeds.sweep)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reconciler.run())
            group.create_task(self.policies.run())
            group.create_task(self._keep_sweeping())

    async def _keep_sweeping(self) -> None:
        for number in itertools.count(1):
            await asyncio.sleep(_POLICY_SWEEP_SECONDS)
            everything = number % _POLICY_SWEEPS == 0
            await self._sweep(self.feeds.sweep if everything else self.feeds.sweep_policies)

    async def _sweep(self, listing: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            try:
                await listing()
            except ApiError as error:
                failures += 1
                _LOGGER.warning("The policies and treatments could not be listed: %s", error)
            else:
                return
            await asyncio.sleep(_SWEEP_BACKOFF.delay(failures, random.random))
