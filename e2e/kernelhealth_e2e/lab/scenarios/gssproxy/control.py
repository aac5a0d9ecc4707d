"""The pod that does not leak: the same gssproxy, which was not told to make the kernel a client."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.bench import SECONDS
from kernelhealth_e2e.lab.outcome import Stage
from kernelhealth_e2e.lab.scenarios.gssproxy import leak, network_state, pods
from kernelhealth_e2e.lab.scenarios.gssproxy.workloads import looks
from kernelhealth_e2e.scene import findings, owner

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.trial import Trial

_MEANWHILE, _AFTERWARDS = 2, 4
"""Looks of the agent while the pod lives and after its end: the leak takes no more to be found."""


def play(bench: Bench, trial: Trial, name: str) -> None:
    """Let it live and be deleted; for as long as a leak takes to be found there is silence."""
    before = network_state.of(bench)
    with bench.scene.observer.record("nodekernelhealth", bench.scene.name) as healths:
        with pods.gssproxy(bench, name, "no") as pod:
            _await_looks(bench, _MEANWHILE)
            state = pods.client_state(bench, pod)
        _await_looks(bench, _AFTERWARDS)
        found = {one["reason"] for health in healths.versions() for one in findings(health)}
    leak.require_healed(before, network_state.of(bench))
    if state != "-1" or found:
        raise HarnessError(f"of {pod}, whose use-gss-proxy was {state}, was found: {found}")
    node = bench.scene.get("node", bench.scene.name)
    if owner(node) or bench.scene.names("noderemediations"):
        raise HarnessError(f"{bench.scene.name} is being treated, and there is nothing to treat")
    trial.silent(Stage.REPRODUCED, f"use-gss-proxy was {state} in {pod}, and nothing stays of it")
    trial.silent(Stage.DETECTED, f"nothing in {_AFTERWARDS} looks after its end")
    trial.silent(Stage.NAMED, "nothing was found that could be named")
    trial.silent(Stage.TREATED, "no NodeRemediation, no cordon")
    trial.silent(Stage.VERIFIED, "links and namespaces are as before")


def _await_looks(bench: Bench, times: int) -> None:
    limit = f"{SECONDS - 30:.0f}"
    bench.on("python3", "-c", inspect.getsource(looks), str(times), limit)
